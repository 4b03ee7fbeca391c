"""What workers and governor write of themselves, as changes for the journal; only while somebody reads events.

The kernel tells of a new status file (inotify) and of a process that ends (pidfd). Only the age of the governor's
status needs a timer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from edge.core.layout import Layout
from edge.core.watch import On, Watch
from edge.gateway.background.journal import Journal
from edge.ledger.rows import JobRow
from edge.model import PowerStatus, RunningJob, ScaledWorkers, WorkerState, WorkerStatus
from edge.power import status
from edge.wire import WorkerChange

#: A process that ended looks alive until its parent took note.
_LATE_S = 0.05
_ON = On.MOVED_TO | On.MOVED_FROM | On.DELETED


class StatusWatch:
    """Belongs to the event loop. `start` and `stop` may follow one another; what changed between is told then."""

    def __init__(
        self,
        journal: Journal,
        layout: Layout,
        *,
        workers: Callable[[], list[WorkerStatus]],
        verdict: Callable[[], PowerStatus],
        find: Callable[[str], JobRow | None],
        scaling: Callable[[], tuple[ScaledWorkers, ...]] = tuple,
    ) -> None:
        """`workers` gives those that live, `verdict` the governor's status, `find` the row of a job.

        `scaling` tells how many workers of scaled entries are to run.
        """
        self._journal, self._layout = journal, layout
        self._workers, self._verdict, self._find, self._scaling = workers, verdict, find, scaling
        self._watch: Watch | None = None
        self._told: dict[str, WorkerChange] | None = None  # None: nobody has read yet
        self._bodies: dict[str, tuple[str, RunningJob]] = {}
        self._submitters: dict[str, str] = {}
        self._wanted: dict[str, int] = {}  # processes that are to run, by scaled entry
        self._power: tuple[object, ...] = ()
        self._pidfds: dict[int, int] = {}
        self._dead: set[int] = set()
        self._expiry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch, and tell what changed since `stop`. Raises OSError."""
        self._layout.run.mkdir(parents=True, exist_ok=True)  # on a board of its own nobody may have written yet
        watch = Watch(self._layout.run, on=_ON)
        with suppress(OSError):  # only where workers are scaled
            watch.add(self._layout.scaling.parent, on=_ON)
        self._watch = watch
        asyncio.get_running_loop().add_reader(watch, self._readable)
        self._compare()

    def stop(self) -> None:
        """Watch no more; a second call does nothing."""
        watch, self._watch = self._watch, None
        if watch is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(watch)
        watch.close()
        for fd in self._pidfds.values():
            loop.remove_reader(fd)
            os.close(fd)
        self._pidfds.clear()
        self._dead.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def look(self) -> None:
        """Tell now what the kernel has to say, not only when the loop comes to it."""
        if self._watch is not None:
            self._readable()

    def _readable(self) -> None:
        watch = self._watch
        if watch is None:
            return
        changes = watch.read()
        if changes.gone:
            with suppress(OSError):  # without the folder nobody writes a status; the next reader tries again
                watch.add(self._layout.run, on=_ON)
        if changes.lost or any(_counts(name) for name in changes.names):
            self._compare()

    def _compare(self) -> None:
        """Note what differs from what was told last."""
        workers = [each for each in self._workers() if each.pid not in self._dead]
        verdict = self._verdict()
        first = self._told is None
        told = {each.name: _change(each) for each in workers}
        scaling = self._scaling()
        if not first:
            self._note_power(verdict)
            self._note_workers(told)
            self._note_scaling(scaling)
        self._wanted = {each.name: each.wanted for each in scaling}
        self._power = _said(verdict)
        self._told = told
        self._note_bodies(workers, quietly=first)
        self._follow({each.pid for each in workers} | {verdict.pid}, verdict)
        self._journal.looked()

    def _note_power(self, verdict: PowerStatus) -> None:
        if _said(verdict) != self._power:
            self._journal.power(verdict)

    def _note_workers(self, now: dict[str, WorkerChange]) -> None:
        before = self._told or {}
        for name, change in now.items():
            if before.get(name) != change:
                self._journal.worker(change)
        for name in before.keys() - now.keys():
            self._journal.worker(WorkerChange(name, WorkerState.STOPPED))

    def _note_scaling(self, scaling: Iterable[ScaledWorkers]) -> None:
        for each in scaling:
            if self._wanted.get(each.name) != each.wanted:
                self._journal.worker(WorkerChange(each.name, WorkerState.STOPPED, reason=each.why, wanted=each.wanted))

    def _note_bodies(self, workers: list[WorkerStatus], *, quietly: bool) -> None:
        bodies = {body.id: (worker.name, body) for worker in workers for body in worker.running}
        names = {worker.name for worker in workers}
        before, self._bodies = self._bodies, bodies
        for job_id, (worker, body) in bodies.items():
            if before.get(job_id) == (worker, body) or quietly or self._journal.has_ended(job_id):
                continue
            known = before.get(job_id)
            if known is None or known[1].attempt != body.attempt:
                row = self._find(job_id)
                if row is not None and (row.state.final or body.attempt <= row.failures):
                    continue  # the worker's file is older than the ledger
                self._submitters[job_id] = row.submitter if row is not None else ""
            if job_id in self._submitters:
                self._journal.running(body, worker=worker, submitter=self._submitters[job_id])
        for job_id in before.keys() - bodies.keys():
            self._submitters.pop(job_id, None)
            if before[job_id][0] not in names and not self._journal.has_ended(job_id):
                row = self._find(job_id)
                if row is not None and not row.state.final:
                    self._journal.back(row)

    def _follow(self, pids: set[int], verdict: PowerStatus) -> None:
        """Hear of the end of these processes, and of the moment when the governor's status is too old."""
        loop = asyncio.get_running_loop()
        for pid in self._pidfds.keys() - pids:
            self._forget(pid)
        for pid in pids - self._pidfds.keys() - self._dead:
            if pid <= 0:
                continue
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue  # gone meanwhile, or no descriptor is to be had: its next status tells
            self._pidfds[pid] = fd
            loop.add_reader(fd, self._ended, pid)
        if self._expiry is not None:
            self._expiry.cancel()
        left_s = status.expires_in(verdict)
        self._expiry = None if left_s is None else loop.call_later(left_s, self._compare_if_watching)

    def _ended(self, pid: int) -> None:
        self._forget(pid)
        self._dead.add(pid)
        asyncio.get_running_loop().call_later(_LATE_S, self._compare_if_watching)

    def _compare_if_watching(self) -> None:
        if self._watch is not None:
            self._compare()

    def _forget(self, pid: int) -> None:
        fd = self._pidfds.pop(pid, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)


def _counts(name: str) -> bool:
    """True for files that say something of a worker or of power."""
    return name in {"power.json", "workers.json"} or name.startswith(("worker-", "frozen-"))


def _said(verdict: PowerStatus) -> tuple[object, ...]:
    """What is news of power when it changes."""
    plan = verdict.plan
    planned = None if plan is None else (plan.action, plan.wake_at, plan.floor_percent is None)
    return verdict.state, verdict.code, verdict.reason, verdict.until, verdict.resumes_at, planned


def _change(worker: WorkerStatus) -> WorkerChange:
    return WorkerChange(worker.name, worker.state, queues=worker.queues, reason=worker.reason, slots=worker.slots)
