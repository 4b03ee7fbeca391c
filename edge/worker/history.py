"""What happened to a job before: told apart by what its last worker left behind.

A worker marks the job it runs in `run/running/NAME.json` and empties that file when the body ends, however it ends.
A mark that outlived its process says crash; one from another boot says power cut.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.host import boot_id, process_alive
from edge.jobs.attempts import AttemptsStore
from edge.layout import Layout
from edge.model import Attempts
from edge.worker.delivery import Delivery

_KEPT = 50
_REMEMBERED = 256


class Mark(msgspec.Struct, frozen=True):
    """Who runs what: the content of `run/running/NAME.json`."""

    id: str
    boot_id: str
    pid: int


class History:
    """Attempts of the jobs this worker gets. Raises OSError when the disk takes no record."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.attempts = AttemptsStore(layout)
        self._folder = layout.running
        self._own = self._folder / f"{name}.json"
        self._fd: int | None = None
        self._given_back: OrderedDict[str, int] = OrderedDict()

    def recover(self) -> None:
        """At the start of the worker: put the mark of its predecessor of the same name where it stays until used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._own.stat().st_size:
                self._own.rename(self._own.with_name(f"{self._own.stem}.{os.urandom(4).hex()}.json"))

    def begin(self, job_id: str) -> None:
        """Mark that a body of this job runs here. One write in place: every job pays it."""
        if self._fd is None:
            self._fd = os.open(self._own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        os.pwrite(self._fd, msgspec.json.encode(Mark(job_id, boot_id(), os.getpid())), 0)

    def end(self) -> None:
        """Take the mark away: an empty file says that nothing runs."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)

    def drop(self) -> None:
        """Take the mark away for good, by its name: the process ends, and its descriptors may be anyone's."""
        self._own.unlink(missing_ok=True)

    def give_back(self, delivery: Delivery) -> None:
        """Remember that this delivery goes back with its body not begun: its return is no attempt."""
        self._given_back[delivery.id] = delivery.redeliveries
        while len(self._given_back) > _REMEMBERED:
            self._given_back.popitem(last=False)

    def look(self, delivery: Delivery) -> Attempts | None:
        """The record of the earlier attempts, brought up to date durably; None when this is the first."""
        known = self.attempts.read(delivery.id)
        if not delivery.redeliveries or self._given_back.pop(delivery.id, -1) == delivery.redeliveries - 1:
            return known
        marks = [(path, mark) for path, mark in self._marks() if mark.id == delivery.id]
        how = "interrupted"
        for path, mark in marks:
            if mark.boot_id != boot_id():
                how = "power-cut"
            elif path.stem.count(".") or not process_alive(mark.pid):
                how = "crash"
        known = known or Attempts(delivery.id)
        known = msgspec.structs.replace(
            known,
            deliveries=known.deliveries + 1,
            crashes=known.crashes + (how == "crash"),
            ended=(*known.ended, how)[-_KEPT:],
        )
        self.attempts.write(known)
        for path, mark in marks:
            if path != self._own and (path.stem.count(".") or not process_alive(mark.pid)):
                path.unlink(missing_ok=True)
        return known

    def failed(self, delivery: Delivery, known: Attempts | None, error: str) -> None:
        """Record durably that the body failed with retries left."""
        known = known or Attempts(delivery.id)
        self.attempts.write(
            msgspec.structs.replace(
                known,
                deliveries=known.deliveries + 1,
                failures=delivery.failures + 1,
                ended=(*known.ended, "error")[-_KEPT:],
                last_error=error,
            )
        )

    def _marks(self) -> list[tuple[Path, Mark]]:
        found = []
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path.suffix == ".json" and not path.name.startswith("."):
                    with suppress(OSError, msgspec.DecodeError):
                        found.append((path, msgspec.json.decode(path.read_bytes(), type=Mark)))
        return found
