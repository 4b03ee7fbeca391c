"""Keeps the latest events of `/v1/events` in a ring buffer, in order and encoded once.

The journal is empty and off until somebody reads events for the first time. From then on each change costs a record in
the ring, even while nobody reads, so that a reader that comes back misses nothing. Adding a record never wakes the
loop. A follower is a part of the gateway that is called for each event; no event is kept for it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from edge.ledger.rows import JobRow
from edge.model import JobState, PowerStatus, Result, RunningJob
from edge.wire import About, BrokerView, Event, JobChange, ScheduleChange, WorkerChange

#: Size of the ring: the number of events that a reader may be behind.
RING = 10_000
_ENDED = 4096  # number of ended jobs that are remembered, because late reports about them make no event

_encode = msgspec.json.Encoder().encode


class Noted(msgspec.Struct, frozen=True, gc=False):
    """One event in the ring: the fields that filters compare, and its bytes in the stream."""

    about: About
    job_id: str
    task: str
    state: JobState | None
    submitter: str
    block: bytes


class Journal:
    """Turns changes of jobs, workers, power and broker into events.

    Belongs to the event loop; only `confirmed` is called in the publisher's thread.
    """

    def __init__(self, *, size: int = RING) -> None:
        self.size = size
        self.on = False  # True if changes must be reported; callers check it before they call the methods below
        self.boot = secrets.token_hex(6)  # identifies this run of the gateway: each run counts events from 1
        self.last = 0  # number of the latest event
        self._ring: list[Noted] = []
        self._confirmed: deque[Sequence[JobRow]] = deque(maxlen=size)
        self._ended: dict[str, None] = {}
        self._running: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_event: Callable[[], None] | None = None  # called after each event; None while nobody reads
        self._look: Callable[[], None] | None = None
        self._keeps = False  # True once somebody has read: events are kept for readers
        self._followers: list[Callable[[Event | None], None]] = []

    # ---- readers and followers ----

    def listen(self, on_event: Callable[[], None], *, look: Callable[[], None]) -> None:
        """Keep events from now on, and call `on_event` after each.

        `look` is called before the end of a job becomes an event. It reads the status files, so that an earlier change
        of the job becomes an event before its end.
        """
        self._loop = asyncio.get_running_loop()
        self.on = self._keeps = True
        self._on_event, self._look = on_event, look

    def unlisten(self) -> None:
        """Go on keeping events, but call nobody, because nobody reads any more."""
        self._on_event = self._look = None

    def follow(self, follower: Callable[[Event | None], None]) -> None:
        """Call `follower` with each event, and with None when status files were written. No event is kept for it."""
        self._followers.append(follower)
        self.on = True

    def unfollow(self, follower: Callable[[Event | None], None]) -> None:
        """Stop calling `follower`."""
        self._followers.remove(follower)
        self.on = self._keeps or bool(self._followers)

    @property
    def first(self) -> int:
        """Number of the oldest event in the ring."""
        return self.last - len(self._ring) + 1

    def after(self, number: int, limit: int) -> list[Noted]:
        """Return at most `limit` events that follow the event `number`, which must be `first - 1` or more."""
        self._take_confirmed()
        size = self.size
        return [self._ring[(at - 1) % size] for at in range(number + 1, min(self.last, number + limit) + 1)]

    def id_of(self, number: int) -> str:
        """Return the id of an event as the stream contains it."""
        return f"{self.boot}-{number}"

    # ---- changes; the caller checks `on` before ----

    def accepted(self, jobs: Iterable[JobRow]) -> None:
        """Report that these jobs are durable in the ledger."""
        for job in jobs:
            self._row(job, JobState.ACCEPTED)

    def confirmed(self, jobs: Sequence[JobRow]) -> None:
        """Report that the broker has these jobs. May be called in any thread.

        Followers get no such event: for them a job waits before and after it.
        """
        if self._only_followed:
            return
        self._confirmed.append(jobs)
        if self._on_event is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_confirmed)

    def running(self, body: RunningJob, *, worker: str, submitter: str) -> None:
        """Report that a worker runs this job, has made progress with it, or holds it."""
        self._take_confirmed()
        self._running.add(body.id)
        change = JobChange(
            body.id,
            body.task,
            JobState.RUNNING,
            submitter=submitter,
            attempts=body.attempt,
            started_at=body.started_at,
            worker=worker,
            progress=body.progress,
            held=body.held,
        )
        self._job(change)

    def back(self, job: JobRow) -> None:
        """Report that this job waits again, because the worker that ran it is gone."""
        self._running.discard(job.id)
        self._row(job, job.state)

    def retrying(self, job: JobRow) -> None:
        """Report that the body of this job failed and that retries are left."""
        self._before_end()
        self._running.discard(job.id)
        self._row(job, JobState.RETRYING)

    def ended(self, results: Iterable[Result], find: Callable[[str], JobRow | None]) -> None:
        """Report that these jobs have their result. `find` returns the row of a job."""
        self._before_end()
        for result in results:
            if result.id in self._ended:
                continue
            self._ended[result.id] = None
            if len(self._ended) > _ENDED:
                del self._ended[next(iter(self._ended))]
            self._running.discard(result.id)
            row = find(result.id) if not result.submitter else None
            change = JobChange(
                result.id,
                result.task or (row.task if row else ""),
                result.state,
                submitter=result.submitter or (row.submitter if row else ""),
                attempts=result.attempts,
                started_at=result.started_at,
                finished_at=result.finished_at,
                worker=result.worker,
                error=result.failure.message[:200] if result.failure else "",
            )
            self._job(change)

    def cancelling(self, job: JobRow) -> None:
        """Report that somebody has requested to cancel this open job."""
        self._row(job, JobState.RUNNING if job.id in self._running else job.state)

    def removed(self, jobs: Iterable[JobRow]) -> None:
        """Report that the results of these jobs have been removed."""
        for job in jobs:
            self._row(job, job.state, removed=True)

    def power(self, status: PowerStatus) -> None:
        """Report a new status of the governor. The event has no readings."""
        self._note(Event(About.POWER, time.time(), power=msgspec.structs.replace(status, readings=())))

    def worker(self, change: WorkerChange) -> None:
        """Report that a worker has started, has ended, or has changed its state."""
        self._note(Event(About.WORKER, time.time(), worker=change))

    def broker(self, view: BrokerView) -> None:
        """Report that the connection to the broker is up, down or blocked."""
        self._note(Event(About.BROKER, time.time(), broker=view))

    def looked(self) -> None:
        """Tell the followers that status files were written. The events from these files were reported before."""
        for follower in self._followers:
            follower(None)

    def schedule(self, change: ScheduleChange) -> None:
        """Report that a schedule was made, changed or removed, or that slots of it were decided."""
        self._note(Event(About.SCHEDULE, time.time(), schedule=change))

    def has_ended(self, job_id: str) -> bool:
        """Return True if this job ended a short time ago. A status file that shows it as running is outdated."""
        return job_id in self._ended

    # ---- inside ----

    @property
    def _only_followed(self) -> bool:
        return bool(self._followers) and not self._keeps

    def _before_end(self) -> None:
        self._take_confirmed()
        if self._look is not None:
            self._look()

    def _take_confirmed(self) -> None:
        while self._confirmed:
            for job in self._confirmed.popleft():
                # A worker may be faster than the broker's confirm.
                if job.id not in self._ended and job.id not in self._running:
                    self._row(job, JobState.QUEUED)

    def _row(self, job: JobRow, state: JobState, *, removed: bool = False) -> None:
        change = JobChange(
            job.id,
            job.task,
            state,
            submitter=job.submitter,
            attempts=max(job.attempts, job.failures),
            finished_at=job.finished_at,
            due_at=job.due_at if state is JobState.RETRYING or job.waits else None,
            cancelling=job.cancel and not state.final,
            removed=removed,
            error=job.message,
        )
        self._job(change)

    def _job(self, change: JobChange) -> None:
        self._note(Event(About.JOB, time.time(), job=change))

    def _note(self, event: Event) -> None:
        for follower in self._followers:
            follower(event)
        if self._only_followed:
            return
        self.last += 1
        block = block_of(event, self.id_of(self.last))
        job = event.job
        if job is not None:
            noted = Noted(event.about, job.id, job.task, job.state, job.submitter, block)
        else:
            submitter = event.schedule.submitter if event.schedule is not None else ""
            noted = Noted(event.about, "", "", None, submitter, block)
        if len(self._ring) < self.size:
            self._ring.append(noted)
        else:
            self._ring[(self.last - 1) % self.size] = noted
        if self._on_event is not None:
            self._on_event()


def block_of(event: Event, event_id: str) -> bytes:
    """Return the bytes of an event in the stream of server-sent events."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.about.encode(), event_id.encode(), _encode(event))
