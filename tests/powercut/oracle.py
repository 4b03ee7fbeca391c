"""Records what the board promised to submitters, outside of the disk that is cut, and checks that it is kept.

A receipt counts only if the submitter had it before the cut. An answer that the frozen processes give after the cut
could not come from a real board.
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
from edge.results.spawned import SpawnedFiles, Unreadable
from edge.results.store import Results
from tests.powercut import jobs as kinds
from tests.powercut import programs
from tests.powercut.jobs import content, expected

#: Kinds of job that may take longer than one power-on; they must still end.
PATIENT = frozenset({"flaky", "steps"})


class Way(StrEnum):
    """How a job was submitted."""

    HTTP = "http"
    KEY = "key"
    BATCH = "batch"
    CELERY = "celery"
    SPAWNED = "spawned"  # by the body of another job


@dataclass(eq=False)
class Sent:
    """A job as its submitter knows it."""

    kind: str
    args: list[Any]
    way: Way
    key: str = ""
    id: str = ""  # known from the receipt, unless the submitter chose it
    accepted_at: float | None = None  # monotonic time of the first receipt
    cancelled: bool = False  # a cancel was sent, with or without success
    removed: bool = False  # a removal was sent
    gone_at: float | None = None  # monotonic time at which the gateway confirmed the removal
    digest: str = ""  # hash of the result, once it was seen or found on the disk after a cut
    seen_at: float | None = None
    durable: bool = False  # the digest is from the disk after a cut
    worker: str = ""  # name of the worker that made the result
    children_at: float | None = None  # time at which its result named its children; they count as accepted since then


@dataclass
class Oracle:
    """Everything that was sent in a campaign. Its methods may be called from any thread."""

    jobs: list[Sent] = field(default_factory=list)
    _by_id: dict[str, Sent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ---- called by submitters ----

    def send(self, kind: str, args: list[Any], way: Way, *, key: str = "", job_id: str = "") -> Sent:
        """Record a job that is about to be submitted."""
        sent = Sent(kind, args, way, key, job_id)
        with self._lock:
            self.jobs.append(sent)
            if job_id:
                self._by_id[job_id] = sent
        return sent

    def accepted(self, sent: Sent, job_id: str, at: float) -> str:
        """Record a receipt, and return what is wrong with it, or an empty text."""
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
        """Record a result that a submitter has read, and return what is wrong with it, or an empty text."""
        digest = sha256(payload).hexdigest()
        with self._lock:
            sent = self._by_id[job_id]
            if sent.digest and sent.digest != digest:
                return f"job {job_id}: its result has changed"
            if not sent.digest:
                sent.digest, sent.seen_at = digest, at
        result = msgspec.json.decode(payload, type=Result)
        return wrong(sent, result) or self._adopt(sent, result, at)

    def _adopt(self, sent: Sent, result: Result, at: float) -> str:
        """Record the children that a result names as accepted, and return what is wrong with them, or an empty text."""
        if sent.kind != "brood":
            return ""
        family = kinds.children(sent.id, sent.args)
        with self._lock:
            for job_id in result.children:
                child = self._by_id.get(job_id)
                if child is None:
                    kind, args = family[job_id]
                    child = self._by_id[job_id] = Sent(kind, args, Way.SPAWNED, id=job_id)
                    self.jobs.append(child)
                elif child.way is not Way.SPAWNED:
                    return f"job id {job_id} was given to a child and to a submission"
                child.accepted_at = child.accepted_at or at
            sent.children_at = sent.children_at or at
        return ""

    def childless(self, results: Results) -> list[Sent]:
        """Return accepted jobs with a result that nobody has read yet, and so whose children are not recorded."""
        with self._lock:
            broods = [
                sent
                for sent in self.jobs
                if sent.kind == "brood" and sent.accepted_at is not None and sent.children_at is None
            ]
        return [sent for sent in broods if not sent.removed and not sent.durable and results.has(sent.id)]

    def gone(self, sent: Sent, at: float) -> None:
        """Record that the gateway confirmed to the submitter the removal of a result."""
        with self._lock:
            sent.gone_at = sent.gone_at or at

    def of(self, job_id: str) -> Sent | None:
        """Return the job with this id, or None if no submission has it."""
        with self._lock:
            return self._by_id.get(job_id)

    def recent(self, count: int) -> list[Sent]:
        """Return the newest `count` submissions."""
        with self._lock:
            return self.jobs[-count:]

    # ---- called by the campaign ----

    def power_cut(self, at: float) -> None:
        """Take back every receipt of this power-on that came after monotonic time `at`, when the power was cut."""
        with self._lock:
            for sent in self.jobs:
                if sent.accepted_at is not None and sent.accepted_at >= at:
                    sent.accepted_at = None
                if sent.gone_at is not None and sent.gone_at >= at:
                    sent.gone_at = None
                if not sent.durable and sent.seen_at is not None and sent.seen_at >= at:
                    sent.digest, sent.seen_at = "", None
                if sent.children_at is not None and sent.children_at >= at:
                    sent.children_at = None

    # ---- checks ----

    def check_disk(self, layout: Layout, *, at: float) -> list[str]:
        """Compare the results on the disk after a cut with the promises, and return the faults.

        Call it before any process of the board runs; `at` is the monotonic time of the check.
        """
        results = Results(layout)
        found = set(results.ids())
        with self._lock:
            jobs = list(self.jobs)
            known = dict(self._by_id)
        # If a job was submitted and its receipt was lost, only the board knows its id.
        nameless = any(not sent.id for sent in jobs)
        faults = list(_torn_spawned(layout))
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
            if sent_of_it is None and not nameless and _parent(result) not in known:
                faults.append(f"job {job_id}: nobody sent it")
            if not results.removed(job_id):
                faults += [f"job {job_id}: {fault}" for fault in _file_faults(results, result)]
            if fault := _twin(result):
                faults.append(fault)
            if sent_of_it is not None and (fault := self._remember(sent_of_it, payload, result, at)):
                faults.append(fault)
        return faults

    def check_ledger(self, layout: Layout, copy: Path) -> list[str]:
        """Check after a cut that every closed row has a result on the disk, or its tombstone; return the faults.

        Opening a ledger writes to it, so a copy of it is opened, in the folder `copy`.
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
        """Return, by worker, how many results were found on the disk after a cut."""
        with self._lock:
            return dict(Counter(sent.worker for sent in self.jobs if sent.worker))

    def open(self, results: Results, *, patient: bool = False) -> list[Sent]:
        """Return accepted jobs that have no result now; kinds that may take long only if `patient`."""
        with self._lock:
            jobs = [sent for sent in self.jobs if sent.accepted_at is not None and not sent.durable]
        return [sent for sent in jobs if (patient or sent.kind not in PATIENT) and not results.has(sent.id)]

    def counts(self) -> dict[str, int]:
        """Return how many jobs were sent, accepted and certainly finished, and how many programs and children are."""
        with self._lock:
            return {
                "sent": len(self.jobs),
                "accepted": sum(sent.accepted_at is not None for sent in self.jobs),
                "finished": sum(sent.accepted_at is not None and bool(sent.digest) for sent in self.jobs),
                "programs": sum(sent.kind in programs.PROGRAMS and sent.durable for sent in self.jobs),
                "children": sum(sent.way is Way.SPAWNED and sent.durable for sent in self.jobs),
            }

    def _remember(self, sent: Sent, payload: bytes, result: Result, at: float) -> str:
        digest = sha256(payload).hexdigest()
        with self._lock:
            if sent.digest and sent.digest != digest:
                return f"job {sent.id} ({sent.kind}): its result has changed"
            first = not sent.durable
            sent.digest, sent.durable, sent.worker = digest, True, result.worker
        return (wrong(sent, result) or self._adopt(sent, result, at)) if first else ""


def wrong(sent: Sent, result: Result) -> str:
    """Return what is wrong with the result of a job, or an empty text."""
    family = tuple(kinds.children(sent.id, sent.args)) if sent.kind == "brood" else ()
    # A cancelled job may have spawned only some of its children.
    if result.children != family[: len(result.children)]:
        return f"job {sent.id} ({sent.kind}) names other children, or in another order: {result.children}"
    if result.state is JobState.CANCELLED and sent.cancelled:
        return ""
    if result.state is not JobState.SUCCEEDED:
        why = result.failure.message if result.failure else "no reason given"
        return f"job {sent.id} ({sent.kind}) {result.state}: {why}"
    is_program = sent.kind in programs.PROGRAMS
    if is_program and (fault := programs.wrong_files(sent.kind, sent.args, result.files)):
        return f"job {sent.id} ({sent.kind}): {fault}"
    if result.value != (programs.value() if is_program else expected(sent.kind, sent.args)):
        return f"job {sent.id} ({sent.kind}): the value {str(result.value)[:60]!r} is wrong"
    if result.children != family:
        return f"job {sent.id} ({sent.kind}) names {len(result.children)} of {len(family)} children"
    return ""


def _twin(result: Result) -> str:
    """Return a fault if a child's id does not follow from its parent and place, as that of a second child would not."""
    parent = _parent(result)
    if not parent or result.id == kinds.child_id(parent, int(str(result.args[2]))):
        return ""
    return f"job {result.id} ({result.task}) is a second child {result.args[2]} of job {parent}"


def _parent(result: Result) -> str:
    """Return the id of the job that spawned a child, from the child's arguments; empty for any other job."""
    return str(result.args[1]) if result.task in ("child", "io_child") else ""


def _torn_spawned(layout: Layout) -> Iterable[str]:
    """Yield a fault for each torn file of spawned jobs: such a file must get its name only once it is complete."""
    files = SpawnedFiles(layout)
    for name in (*files.waiting(), *files.taken()):
        try:
            files.read(name)
        except Unreadable as err:
            yield f"torn: spawned jobs {err}"


def _file_faults(results: Results, result: Result) -> Iterable[str]:
    if result.task in programs.PROGRAMS:
        yield from programs.torn_files(result, results.artifact(result, programs.OUTPUT)) if result.files else ()
        return
    for file in result.files:
        index = int(file.name.removeprefix("part-").removesuffix(".bin"))
        try:
            data = results.artifact(result, file.name).read_bytes()
        except OSError as err:
            yield f"file {file.name}: {err.strerror}"
            continue
        if data != content(int(result.args[0]), index):
            yield f"file {file.name} is torn: {len(data)} of {file.size_bytes} bytes"
