"""Builds the answer record of a job from its ledger row and the board: its state now, and why it waits."""

from __future__ import annotations

import time

import msgspec

from edge.gateway.background.starts import deadline_at
from edge.gateway.board import Board, running
from edge.gateway.waiting import held, resumes_at, sentence, start_text
from edge.ledger.rows import JobRow
from edge.model import InputFile, JobState, Power, Result, WorkerStatus
from edge.wire import JobView, StartInterval


class Views:
    """Combines rows of the ledger with one snapshot of the board. Make a new object for each answer, on the loop."""

    def __init__(self, board: Board) -> None:
        self._workers = board.workers()
        self._running = running(self._workers)
        self._power, self._broker, self._routes = board.verdict(), board.broker(), board.routes()
        self._why, self._starts = board.why_kept, board.starts
        self._now = time.time()

    def running_ids(self) -> list[str]:
        """Return the ids of the jobs that run now."""
        return list(self._running)

    def state(self, job: JobRow) -> JobState:
        """Return the state of `job`. The ledger does not store `running`, so that comes from the workers' reports."""
        return JobState.RUNNING if not job.state.final and job.id in self._running else job.state

    def _takers(self, job: JobRow) -> list[WorkerStatus]:
        """Return the living workers that consume the job's queue. Any worker ends a cancelled job: return all then."""
        if job.cancel:
            return self._workers
        queue = self._routes.queue(job.task, job.power)
        return [worker for worker in self._workers if self._routes.takes(worker.name, queue)]

    def _nobody(self, job: JobRow) -> str:
        """Return why no worker takes such a job."""
        if not self._workers:
            return self._routes.missing_worker_reason(job.task, job.power) or "no worker is running"
        return self._routes.missing_worker_reason(job.task, job.power) or self._routes.stopped_worker_reason(
            job.task, job.power
        )

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
        """Return the answer record of `job`. Callers leave out what their answer does not need.

        Args:
            job: the job, as the ledger has it.
            ahead: number of jobs before it in its queue.
            result: its result.
            parent: id of the job that spawned it.
            children: number of jobs that it spawned, by state.
            after: ids of the jobs that it runs after.
            followers: number of jobs that run after it.
            starts: the start that its submitter already got. Without it, it is computed here if `ahead` is known.
        """
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
            # A job of class `surplus` has no end to miss: from its deadline on, normal power is enough.
            ends = job.deadline_s is not None and job.power is not Power.SURPLUS
            late = ends and not self._starts.fits(job.task, starts.likely, deadline_at(job))
            waiting = "; ".join(filter(None, (waiting, start_text(starts, late=late))))
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
            deadline_at=_surplus_ends_at(job),
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
        """Return `starts` if it is known, or else the expected start of a job that is ready and waits for its turn.

        Return None if the job does not wait for its turn, or if nothing is known.
        """
        if starts is not None or ahead is None or state not in {JobState.ACCEPTED, JobState.QUEUED} or job.waits:
            return starts
        found = self._starts.of(job.power, ahead=ahead, normal_from=deadline_at(job))
        return None if found is None else StartInterval(round(found.early), round(found.likely), round(found.late))


def _files(job: JobRow) -> dict[str, InputFile]:
    """Return the input files of a job. Return none for a damaged row."""
    try:
        return job.inputs()
    except msgspec.DecodeError:
        return {}


def _surplus_ends_at(job: JobRow) -> float | None:
    """Return when a job stops waiting for surplus power, as Unix time, or None if it has no such limit."""
    if job.deadline_s is None or job.power is not Power.SURPLUS or job.state.final:
        return None
    return deadline_at(job)
