"""Reports changes of the status files of workers and governor to the journal, while somebody reads events.

The kernel reports a new status file (inotify) and the end of a process (pidfd). Only the age of the governor's status
needs a timer.
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

#: Time after the end of a process until it no longer looks alive: its parent has to collect its exit status first.
_LATE_S = 0.05
_ON = On.MOVED_TO | On.MOVED_FROM | On.DELETED


class StatusWatch:
    """Watches the status files between `start` and `stop`. Belongs to the event loop.

    It can be started again. Then it reports what has changed since `stop`.
    """

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
        """Begin without watching.

        Args:
            journal: gets the changes.
            layout: where the files are.
            workers: returns the status of each living worker.
            verdict: returns the status of the governor.
            find: returns the row of a job.
            scaling: returns for each scaled entry of `workers:` how many of its workers should run.
        """
        self._journal, self._layout = journal, layout
        self._workers, self._verdict, self._find, self._scaling = workers, verdict, find, scaling
        self._watch: Watch | None = None
        self._reported: dict[str, WorkerChange] | None = None  # by worker; None until somebody has read events
        self._bodies: dict[str, tuple[str, RunningJob]] = {}
        self._submitters: dict[str, str] = {}
        self._wanted: dict[str, int] = {}  # number of processes that should run, by scaled entry
        self._power: tuple[object, ...] = ()
        self._pidfds: dict[int, int] = {}
        self._dead: set[int] = set()
        self._expiry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start watching, and report what changed since `stop`. Raises OSError."""
        self._layout.run.mkdir(parents=True, exist_ok=True)  # perhaps no process has written a status yet
        watch = Watch(self._layout.run, on=_ON)
        with suppress(OSError):  # the folder exists only if workers are scaled
            watch.add(self._layout.scaling.parent, on=_ON)
        self._watch = watch
        asyncio.get_running_loop().add_reader(watch, self._readable)
        self._compare()

    def stop(self) -> None:
        """Stop watching; a second call does nothing."""
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
        """Read and report changes now, before the loop would do it."""
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
        """Report the differences between the present status and the last report. The first call reports nothing."""
        workers = [each for each in self._workers() if each.pid not in self._dead]
        verdict = self._verdict()
        first = self._reported is None
        changes = {each.name: _change(each) for each in workers}
        scaling = self._scaling()
        if not first:
            self._note_power(verdict)
            self._note_workers(changes)
            self._note_scaling(scaling)
        self._wanted = {each.name: each.wanted for each in scaling}
        self._power = _power_fields(verdict)
        self._reported = changes
        self._note_bodies(workers, quietly=first)
        self._follow({each.pid for each in workers} | {verdict.pid}, verdict)
        self._journal.looked()

    def _note_power(self, verdict: PowerStatus) -> None:
        if _power_fields(verdict) != self._power:
            self._journal.power(verdict)

    def _note_workers(self, now: dict[str, WorkerChange]) -> None:
        before = self._reported or {}
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
        """Watch for the end of these processes, and set a timer for the time when the governor's status is too old."""
        loop = asyncio.get_running_loop()
        for pid in self._pidfds.keys() - pids:
            self._forget(pid)
        for pid in pids - self._pidfds.keys() - self._dead:
            if pid <= 0:
                continue
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue  # the process has ended, or no descriptor is free; the next comparison shows its end
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
    """Return True for the status files of workers and governor."""
    return name in {"power.json", "workers.json"} or name.startswith(("worker-", "frozen-"))


def _power_fields(verdict: PowerStatus) -> tuple[object, ...]:
    """Return the fields of the governor's status of which a change is an event."""
    plan = verdict.plan
    planned = None if plan is None else (plan.action, plan.wake_at, plan.floor_percent is None)
    return verdict.state, verdict.code, verdict.reason, verdict.until, verdict.resumes_at, planned


def _change(worker: WorkerStatus) -> WorkerChange:
    return WorkerChange(worker.name, worker.state, queues=worker.queues, reason=worker.reason, slots=worker.slots)
