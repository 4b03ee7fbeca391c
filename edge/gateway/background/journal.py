"""The last changes of this gateway's life, in order and encoded once: what `/v1/events` gives out.

Empty and off until somebody reads for the first time. From then on a change costs a record in a ring, also while nobody
reads, so that a reader who comes back misses nothing. It never wakes the loop for that. A follower is told of each
change without any being kept.
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

#: How many events a reader may be behind.
RING = 10_000
_ENDED = 4096  # ended jobs that are remembered: a late word of them is no news

_encode = msgspec.json.Encoder().encode


class Noted(msgspec.Struct, frozen=True, gc=False):
    """One event: what filters ask for, and its bytes in the stream."""

    about: About
    job_id: str
    task: str
    state: JobState | None
    submitter: str
    block: bytes


class Journal:
    """Belongs to the event loop; `confirmed` alone is called in the publisher's thread."""

    def __init__(self, *, size: int = RING) -> None:
        self.size = size
        self.on = False  # whether to note anything; whoever notes looks here first
        self.boot = secrets.token_hex(6)  # of this gateway's life: numbers begin anew with each
        self.last = 0  # number of the last event
        self._ring: list[Noted] = []
        self._confirmed: deque[Sequence[JobRow]] = deque(maxlen=size)
        self._ended: dict[str, None] = {}
        self._running: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came: Callable[[], None] | None = None  # None: nobody reads
        self._look: Callable[[], None] | None = None
        self._keeps = False  # whether events are kept for readers
        self._followers: list[Callable[[Event | None], None]] = []

    # ---- who reads ----

    def listen(self, came: Callable[[], None], *, look: Callable[[], None]) -> None:
        """Note from now on, and call `came` after each event; `look` before a job ends, for what comes before that."""
        self._loop = asyncio.get_running_loop()
        self.on = self._keeps = True
        self._came, self._look = came, look

    def unlisten(self) -> None:
        """Nobody reads any more: go on noting, and wake nobody."""
        self._came = self._look = None

    def follow(self, follower: Callable[[Event | None], None]) -> None:
        """Call `follower` with each event, and with None when status files were written; nothing is kept."""
        self._followers.append(follower)
        self.on = True

    def unfollow(self, follower: Callable[[Event | None], None]) -> None:
        """Stop calling `follower`."""
        self._followers.remove(follower)
        self.on = self._keeps or bool(self._followers)

    @property
    def first(self) -> int:
        """Number of the oldest event that is still here."""
        return self.last - len(self._ring) + 1

    def after(self, number: int, limit: int) -> list[Noted]:
        """At most `limit` events behind `number`, which must be `first - 1` or more."""
        self._take_confirmed()
        size = self.size
        return [self._ring[(at - 1) % size] for at in range(number + 1, min(self.last, number + limit) + 1)]

    def id_of(self, number: int) -> str:
        """The id of an event, as it stands in the stream."""
        return f"{self.boot}-{number}"

    # ---- changes; look at `on` before ----

    def accepted(self, jobs: Iterable[JobRow]) -> None:
        """These are durable in the ledger."""
        for job in jobs:
            self._row(job, JobState.ACCEPTED)

    def confirmed(self, jobs: Sequence[JobRow]) -> None:
        """The broker has these. From any thread. No news for a follower, whose jobs wait before and after."""
        if self._only_followed:
            return
        self._confirmed.append(jobs)
        if self._came is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_confirmed)

    def running(self, body: RunningJob, *, worker: str, submitter: str) -> None:
        """A worker runs this job, is further with it, or holds it."""
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
        """The worker that ran this job is gone; it waits again."""
        self._running.discard(job.id)
        self._row(job, job.state)

    def retrying(self, job: JobRow) -> None:
        """Its body failed with retries left."""
        self._before_end()
        self._running.discard(job.id)
        self._row(job, JobState.RETRYING)

    def ended(self, results: Iterable[Result], find: Callable[[str], JobRow | None]) -> None:
        """These have their one result; `find` gives the row of a job."""
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
        """Somebody asked that this open job stop."""
        self._row(job, JobState.RUNNING if job.id in self._running else job.state)

    def removed(self, jobs: Iterable[JobRow]) -> None:
        """The results of these are gone."""
        for job in jobs:
            self._row(job, job.state, removed=True)

    def power(self, status: PowerStatus) -> None:
        """The governor reports something new."""
        self._note(Event(About.POWER, time.time(), power=msgspec.structs.replace(status, readings=())))

    def worker(self, change: WorkerChange) -> None:
        """A worker came, went, or does something else."""
        self._note(Event(About.WORKER, time.time(), worker=change))

    def broker(self, view: BrokerView) -> None:
        """The broker came, went, or is blocked."""
        self._note(Event(About.BROKER, time.time(), broker=view))

    def looked(self) -> None:
        """Status files were written; what of it is an event was noted before."""
        for follower in self._followers:
            follower(None)

    def schedule(self, change: ScheduleChange) -> None:
        """A schedule was made, changed or removed, or slots of it are decided."""
        self._note(Event(About.SCHEDULE, time.time(), schedule=change))

    def has_ended(self, job_id: str) -> bool:
        """True when this job ended not long ago: what a worker's file says of it is old."""
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
        if self._came is not None:
            self._came()


def block_of(event: Event, event_id: str) -> bytes:
    """An event as it stands in the stream."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.about.encode(), event_id.encode(), _encode(event))
