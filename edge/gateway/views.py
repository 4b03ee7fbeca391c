"""From a row of the ledger to what a person sees of a job: its state now, and why it waits."""

from __future__ import annotations

import time

import msgspec

from edge.gateway.board import Board, running
from edge.gateway.waiting import held, resumes_at, sentence, told
from edge.ledger.rows import JobRow
from edge.model import InputFile, JobState, Power, Result, WorkerStatus
from edge.wire import JobView, StartInterval


class Views:
    """The board at one moment, laid over rows of the ledger; make one for each answer."""

    def __init__(self, board: Board) -> None:
        self._workers = board.workers()
        self._running = running(self._workers)
        self._power, self._broker, self._routes = board.verdict(), board.broker(), board.routes()
        self._why, self._starts = board.why_kept, board.starts
        self._now = time.time()

    def running_ids(self) -> list[str]:
        """Ids of the jobs that run now."""
        return list(self._running)

    def state(self, job: JobRow) -> JobState:
        """The state of `job` with what a worker says of it: `running` is not stored."""
        return JobState.RUNNING if not job.state.final and job.id in self._running else job.state

    def _takers(self, job: JobRow) -> list[WorkerStatus]:
        """The workers that live and take such jobs; any of them ends one that is cancelled."""
        if job.cancel:
            return self._workers
        queue = self._routes.queue(job.task, job.power)
        return [worker for worker in self._workers if self._routes.takes(worker.name, queue)]

    def _nobody(self, job: JobRow) -> str:
        """What is wrong when no worker takes such a job."""
        if not self._workers:
            return self._routes.wanting(job.task, job.power) or "no worker is running"
        return self._routes.wanting(job.task, job.power) or self._routes.absent(job.task, job.power)

    def of(
        self,
        job: JobRow,
        *,
        ahead: int | None = None,
        result: Result | None = None,
        parent: str = "",
        children: dict[str, int] | None = None,
        after: tuple[str, ...] = (),
        followers: int = 0,
        starts: StartInterval | None = None,
    ) -> JobView:
        """What is to be seen of `job`; the rest as far as the caller found it worth a look."""
        state = self.state(job)
        worker, body = self._running.get(job.id, (None, None)) if state is JobState.RUNNING else (None, None)
        waiting = ""
        if body is None:
            waiting = sentence(
                job,
                power=self._power,
                workers=self._takers(job),
                nobody=self._nobody(job),
                broker=self._broker,
                ahead=ahead,
                now=self._now,
                kept=self._why(job) if state is JobState.ACCEPTED else "",
            )
        elif body.held is not None:
            waiting = held(body.held, self._now)
        starts = self._start(job, state, ahead, starts=starts)
        if starts is not None:
            end = None if job.deadline_s is None else job.accepted_at + job.deadline_s
            late = end is not None and not self._starts.fits(job.task, starts.likely, end)
            waiting = "; ".join(filter(None, (waiting, told(starts, late=late))))
        return JobView(
            id=job.id,
            task=job.task,
            state=state,
            power=job.power,
            submitter=job.submitter,
            accepted_at=job.accepted_at,
            started_at=body.started_at if body else result.started_at if result else None,
            finished_at=job.finished_at,
            attempts=max(job.attempts, job.failures, body.attempt if body else 0),
            retries=job.retries,
            time_limit_s=job.time_limit_s,
            deadline_at=_deadline_at(job),
            resumes_at=resumes_at(job, body, self._power),
            max_temp_c=job.max_temp_c,
            priority=job.priority,
            due_at=job.due_at,
            cancelling=job.cancel and not state.final,
            waiting=waiting,
            ahead=None if body or state.final or state is JobState.RETRYING else ahead,
            worker=worker.name if worker else "",
            progress=body.progress if body else None,
            held=body.held if body else None,
            energy=result.energy if result else None,
            error=job.message,
            parent=parent,
            children=children or {},
            after=after,
            followers=followers,
            files=_files(job),
            starts=starts,
        )

    def _start(
        self, job: JobRow, state: JobState, ahead: int | None, *, starts: StartInterval | None
    ) -> StartInterval | None:
        """When a job starts that is ready and waits; `starts` is what who submitted it is told."""
        if starts is not None or ahead is None or state not in {JobState.ACCEPTED, JobState.QUEUED} or job.waits:
            return starts
        found = self._starts.of(job.power, ahead=ahead)
        return None if found is None else StartInterval(round(found.early), round(found.likely), round(found.late))


def _files(job: JobRow) -> dict[str, InputFile]:
    """The files that it was given; of a damaged row none are known."""
    try:
        return job.inputs()
    except msgspec.DecodeError:
        return {}


def _deadline_at(job: JobRow) -> float | None:
    """When surplus power is no longer waited for."""
    if job.deadline_s is None or job.power is not Power.SURPLUS or job.state.final:
        return None
    return job.accepted_at + job.deadline_s
