"""What was promised to submitters, kept outside of the disk that is cut; and whether the board keeps it.

A receipt counts only if it was in the submitter's hands before the power went: what a frozen board says after
that, no real board could have said.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from edge.core.errors import TornResult
from edge.core.layout import Layout
from edge.ledger.reader import IS_OPEN
from edge.model import JobState, Result
from edge.results.store import Results
from tests.powercut.jobs import content, expected

#: Kinds that may take longer than one power-on; they must end all the same.
PATIENT = frozenset({"flaky", "steps"})


class Way(StrEnum):
    """How a job was handed in."""

    HTTP = "http"
    KEY = "key"
    BATCH = "batch"
    CELERY = "celery"


@dataclass(eq=False)
class Sent:
    """A job as its submitter knows it."""

    kind: str
    args: list[Any]
    way: Way
    key: str = ""
    id: str = ""  # learned with the receipt, unless the submitter chose it
    accepted_at: float | None = None  # monotonic time of the first receipt
    cancelled: bool = False  # a cancel was sent, whatever became of it
    removed: bool = False  # a removal was sent
    gone_at: float | None = None  # and carried out
    digest: str = ""  # of the result, once one was seen or lay on the disk after a cut
    seen_at: float | None = None
    durable: bool = False  # the digest is from the disk after a cut
    worker: str = ""  # who made the result


@dataclass
class Oracle:
    """Everything that was sent in a campaign. Its methods may be called from any thread."""

    jobs: list[Sent] = field(default_factory=list)
    _by_id: dict[str, Sent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ---- what submitters tell ----

    def send(self, kind: str, args: list[Any], way: Way, *, key: str = "", job_id: str = "") -> Sent:
        """A job is about to be handed in."""
        sent = Sent(kind, args, way, key, job_id)
        with self._lock:
            self.jobs.append(sent)
            if job_id:
                self._by_id[job_id] = sent
        return sent

    def accepted(self, sent: Sent, job_id: str, at: float) -> str:
        """The submitter holds a receipt. What is wrong with it; empty when nothing is."""
        with self._lock:
            if sent.id and sent.id != job_id:
                return f"key {sent.key!r} gave job {sent.id} first and {job_id} later"
            other = self._by_id.setdefault(job_id, sent)
            if other is not sent:
                return f"job id {job_id} was given to two submissions"
            sent.id = job_id
            sent.accepted_at = sent.accepted_at or at
        return ""

    def seen(self, job_id: str, payload: bytes, at: float) -> str:
        """The submitter was shown a result. What is wrong with it; empty when nothing is."""
        digest = sha256(payload).hexdigest()
        with self._lock:
            sent = self._by_id[job_id]
            if sent.digest and sent.digest != digest:
                return f"job {job_id}: its result has changed"
            if not sent.digest:
                sent.digest, sent.seen_at = digest, at
        return wrong(sent, msgspec.json.decode(payload, type=Result))

    def gone(self, sent: Sent, at: float) -> None:
        """The submitter was told that the result is removed."""
        with self._lock:
            sent.gone_at = sent.gone_at or at

    def of(self, job_id: str) -> Sent | None:
        """The job with this id."""
        with self._lock:
            return self._by_id.get(job_id)

    def recent(self, count: int) -> list[Sent]:
        """The newest submissions."""
        with self._lock:
            return self.jobs[-count:]

    # ---- what the rig tells ----

    def power_cut(self, at: float) -> None:
        """Take back every receipt of this power-on that came after the power had gone."""
        with self._lock:
            for sent in self.jobs:
                if sent.accepted_at is not None and sent.accepted_at >= at:
                    sent.accepted_at = None
                if sent.gone_at is not None and sent.gone_at >= at:
                    sent.gone_at = None
                if not sent.durable and sent.seen_at is not None and sent.seen_at >= at:
                    sent.digest, sent.seen_at = "", None

    # ---- what must hold ----

    def check_disk(self, layout: Layout) -> list[str]:
        """Compare the results on the disk after a cut, before anything runs, with what was promised."""
        results = Results(layout)
        found = set(results.ids())
        with self._lock:
            jobs = list(self.jobs)
            known = dict(self._by_id)
        # A job handed in without a receipt has an id that only the board knows.
        nameless = any(not sent.id for sent in jobs)
        faults = [f"job {name}: nobody sent it" for name in sorted(found) if name not in known and not nameless]
        for sent in jobs:
            if sent.gone_at is not None and (sent.id in found or not results.removed(sent.id)):
                faults.append(f"job {sent.id}: was removed and is back")
            if sent.digest and not sent.removed and sent.id not in found:
                faults.append(f"job {sent.id} ({sent.kind}): its result was seen and is gone")
        for job_id in sorted(found):
            try:
                payload = results.read_bytes(job_id)
                assert payload is not None
                result = results.read(job_id)
                assert result is not None
            except TornResult as err:
                faults.append(f"torn: {err}")
                continue
            sent_of_it = known.get(job_id)
            if not results.removed(job_id):
                faults += [f"job {job_id}: {fault}" for fault in _file_faults(results, result)]
            if sent_of_it is not None and (fault := self._remember(sent_of_it, payload, result)):
                faults.append(fault)
        return faults

    def check_ledger(self, layout: Layout, copy: Path) -> list[str]:
        """After a cut: every row that is closed has a result, or the tombstone of one, on the disk.

        A copy of the ledger is opened, in the folder `copy`: to open it is to write to it.
        """
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{layout.ledger}{suffix}", copy / f"ledger{suffix}")
        if not (copy / "ledger").exists():
            return []
        results = Results(layout)
        with closing(sqlite3.connect(copy / "ledger")) as ledger:
            closed = ledger.execute(f"SELECT id, state FROM job WHERE NOT {IS_OPEN}").fetchall()
        return [
            f"job {name}: its row says {state} and its result is gone"
            for name, state in closed
            if not results.has(name)
        ]

    def by_worker(self) -> dict[str, int]:
        """How many of the results that lay on the disk after a cut each worker made."""
        with self._lock:
            return dict(Counter(sent.worker for sent in self.jobs if sent.worker))

    def open(self, results: Results, *, patient: bool = False) -> list[Sent]:
        """Accepted jobs that have no result now; those that may take long only if `patient`."""
        with self._lock:
            jobs = [sent for sent in self.jobs if sent.accepted_at is not None and not sent.durable]
        return [sent for sent in jobs if (patient or sent.kind not in PATIENT) and not results.has(sent.id)]

    def counts(self) -> dict[str, int]:
        """How many were sent, accepted, and finished for sure."""
        with self._lock:
            return {
                "sent": len(self.jobs),
                "accepted": sum(sent.accepted_at is not None for sent in self.jobs),
                "finished": sum(sent.accepted_at is not None and bool(sent.digest) for sent in self.jobs),
            }

    def _remember(self, sent: Sent, payload: bytes, result: Result) -> str:
        digest = sha256(payload).hexdigest()
        with self._lock:
            if sent.digest and sent.digest != digest:
                return f"job {sent.id} ({sent.kind}): its result has changed"
            first = not sent.durable
            sent.digest, sent.durable, sent.worker = digest, True, result.worker
        return wrong(sent, result) if first else ""


def wrong(sent: Sent, result: Result) -> str:
    """What is wrong with the result of a job; empty when nothing is."""
    if result.state is JobState.CANCELLED and sent.cancelled:
        return ""
    if result.state is not JobState.SUCCEEDED:
        why = result.failure.message if result.failure else "no reason given"
        return f"job {sent.id} ({sent.kind}) {result.state}: {why}"
    if result.value != expected(sent.kind, sent.args):
        return f"job {sent.id} ({sent.kind}): the value {str(result.value)[:60]!r} is wrong"
    return ""


def _file_faults(results: Results, result: Result) -> Iterable[str]:
    for file in result.files:
        index = int(file.name.removeprefix("part-").removesuffix(".bin"))
        try:
            data = results.artifact(result, file.name).read_bytes()
        except OSError as err:
            yield f"file {file.name}: {err.strerror}"
            continue
        if data != content(int(result.args[0]), index):
            yield f"file {file.name} is torn: {len(data)} of {file.size_bytes} bytes"
