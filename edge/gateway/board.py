"""The board as a request finds it: power, workers, room on the card.

Nothing of it is watched: a file in `/run` is read when somebody asks, so a job that tells its progress four times a
second wakes nobody here.
"""

from __future__ import annotations

import os
import time

import msgspec

from edge.broker.publisher import BrokerLinkState
from edge.core.host import boot_id, process_alive, process_stopped
from edge.core.layout import Layout
from edge.core.text import duration
from edge.gateway.background.outbox import Outbox
from edge.model import FrozenJob, PowerStatus, RunningJob, WorkerState, WorkerStatus
from edge.power import status
from edge.wire import BrokerState, BrokerView

_decode = msgspec.json.Decoder(WorkerStatus).decode
_decode_frozen = msgspec.json.Decoder(FrozenJob).decode
_BROKER = {
    BrokerLinkState.UP: BrokerState.CONNECTED,
    BrokerLinkState.BLOCKED: BrokerState.BLOCKED,
    BrokerLinkState.DOWN: BrokerState.DOWN,
}


class Board:
    """Reads what the other processes say of themselves; each method costs a file or two."""

    def __init__(self, layout: Layout, outbox: Outbox) -> None:
        self._layout, self._outbox = layout, outbox
        self._power = status.Reader(layout.power)

    def power(self) -> PowerStatus:
        """The governor's word, or `unknown` with the reason why none counts; each reading is as old as it is now."""
        return status.aged(self._power.read())

    def workers(self) -> list[WorkerStatus]:
        """The workers that live, by name; a file whose writer is gone does not count."""
        try:
            names = sorted(name for name in os.listdir(self._layout.run) if name.startswith("worker-"))  # noqa: PTH208
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            try:
                worker = _decode((self._layout.run / name).read_bytes())
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue  # gone meanwhile, or not a status
            here = worker.boot_id == boot_id() and process_alive(worker.pid)
            if here and worker.state is not WorkerState.STOPPED:
                found.append(self._stopped(self._frozen(worker) if worker.job is not None else worker))
        return found

    @staticmethod
    def _stopped(worker: WorkerStatus) -> WorkerStatus:
        """`worker` with the word that somebody has stopped it, which it cannot say: its last one still stands there."""
        if worker.state is WorkerState.HELD or not process_stopped(worker.pid):
            return worker
        why = f"its process {worker.pid} was stopped by a signal; `kill -CONT {worker.pid}` lets it go on"
        return msgspec.structs.replace(worker, reason=why)

    def _frozen(self, worker: WorkerStatus) -> WorkerStatus:
        """`worker` with what its freezer says of it: a stopped process cannot tell itself."""
        try:
            said = _decode_frozen(self._layout.frozen(worker.name).read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return worker
        if worker.job is None or (said.id, said.pid, said.boot_id) != (worker.job.id, worker.pid, worker.boot_id):
            return worker
        job = msgspec.structs.replace(worker.job, held=said.held)
        return msgspec.structs.replace(worker, state=WorkerState.HELD, job=job)

    def broker(self) -> BrokerView:
        """How the publisher stands with the broker, and since when that is so."""
        link = self._outbox.link
        since = duration(time.monotonic() - link.since)
        reason = f"for {since}: {link.reason}" if link.reason else ""
        return BrokerView(_BROKER[link.state], reason)

    def free_bytes(self) -> int | None:
        """Bytes that may still be written under the state root; None when that cannot be told."""
        try:
            room = os.statvfs(self._layout.root)
        except OSError:
            return None
        return room.f_bavail * room.f_frsize


def running(workers: list[WorkerStatus]) -> dict[str, tuple[WorkerStatus, RunningJob]]:
    """The jobs that run now, by id."""
    return {worker.job.id: (worker, worker.job) for worker in workers if worker.job is not None}
