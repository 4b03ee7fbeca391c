"""Accepts jobs durably and publishes them: connects ledger, publisher, retries and deadlines.

`accept` answers once the jobs survive a power cut. They are published afterwards, even after a restart of the gateway
or an outage of the broker that lasted for days.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeAlias, TypeVar

from edge.broker.publisher import BrokerLink, Publisher
from edge.broker.restart_request import RestartRequest
from edge.broker.routes import Routes
from edge.config import Config
from edge.core import clock
from edge.core.backoff import Backoff
from edge.core.errors import EdgeError, JobGone, StorageError, TooManyJobs, not_none
from edge.gateway.background.backlog import KindBacklog
from edge.gateway.background.dependents import Check, Dependents
from edge.gateway.background.due import DueTimer
from edge.gateway.background.journal import Journal
from edge.gateway.background.release import Release
from edge.gateway.background.routing import Routing
from edge.ledger.commit_thread import CommitThread
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import rebuild
from edge.ledger.rows import Accepted, Followers, JobRow, NewJob
from edge.ledger.totals import Totals
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, OpenJobs, Power, Result
from edge.results.store import Results
from edge.schedule.dependencies import GONE, hindrance, still_open

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Puts a job into the ledger inside a transaction, or returns the error because of which it is refused.
Accept: TypeAlias = Callable[[NewJob], Accepted | EdgeError]

#: Pause before the next attempt of a job whose last attempt failed.
RETRY = Backoff(first_s=5.0, most_s=3600.0)
_AGAIN_S = 30.0


class Outbox:
    """Owns the ledger's writer and the publisher thread.

    Its methods are called on the event loop. Callbacks from the two threads are marked as such.
    """

    def __init__(
        self,
        config: Config,
        *,
        changed: Callable[[BrokerLink], None] = lambda _: None,
        journal: Journal | None = None,
        begun: Callable[[], Mapping[str, float]] = dict,
        check: Check = lambda *_: None,
        committed: Callable[[], None] | None = None,
    ) -> None:
        """Open the ledger under `config.root`.

        Args:
            config: the settings of the board.
            changed: called on the loop with each change of the connection to the broker.
            journal: gets the changes of jobs.
            begun: returns for each job that is known to run how many seconds it has run.
            check: raises BadArguments if the arguments of a job do not fit its kind.
            committed: called in the thread of the ledger after each commit.

        Raises:
            StorageError: the ledger cannot be opened.
        """
        self._journal = Journal() if journal is None else journal
        path, self._layout = config.layout.ledger, config.layout
        self._max_open_jobs = config.gateway.max_open_jobs
        self._results = Results(config.layout)
        by_kind = bool(config.scaled) or config.power.looks_ahead
        ledger = LedgerWriter.open(path, by_kind=by_kind)
        self._unmet = ledger.connection.unmet
        self._committed = committed
        self._writer = CommitThread(ledger, committed=self._on_commit if by_kind or committed else None)
        self.reader = LedgerReader.open(path)
        self._publisher_reader = LedgerReader.open(path)
        self._query_reader = LedgerReader.open(path)
        self._query_thread = ThreadPoolExecutor(1, "ledger-look")  # one thread, because a reader is not thread-safe
        self._changed = changed
        self.routing = Routing(config, route=self._route)
        self.backlog = KindBacklog(
            config.layout,
            counts=lambda: self._writer.open_kinds,
            routes=lambda: self.routing.routes,
            enabled=by_kind,
        )
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self.release = Release(config, routes=lambda: self.routing.routes, begun=begun)
        self._release_timer: asyncio.TimerHandle | None = None
        self._tasks = set[asyncio.Task[None]]()
        self._due_timer = DueTimer(self._writer, self.reader, publish=self._publish)
        self.dependents = Dependents(config.layout, self._writer, self.reader, publish=self._publish, check=check)
        self._due: list[str] = []  # ids of jobs whose deadline has just come
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publisher = Publisher(
            config.broker,
            fetch=self._fetch,
            confirmed=self._on_confirmed,
            reborn=self._on_reborn,
            claimed=self._on_claimed,
            changed=self._on_link,
            complaint=RestartRequest(config.layout, "gateway"),
            routes=self.routing.routes,
        )

    @property
    def link(self) -> BrokerLink:
        """The present state of the connection to the broker."""
        return self._publisher.link

    def open_rows(self) -> tuple[OpenJobs, ...]:
        """Return the open jobs by kind as of the last commit, with their learned costs.

        The result is empty if the board neither scales workers nor looks ahead: then jobs are not counted by kind.
        """
        return tuple(self.backlog.rows(self._writer.open_kinds))

    def start(self) -> None:
        """Start both threads, on the running loop.

        A job that waits for a retry waits for the rest of its back-off, but never longer than one whole back-off.
        """
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self.release.load(self.reader)
        self._publisher.start()
        self.backlog.start()
        for job in self.reader.retrying():
            left_s = (job.due_at or 0.0) - time.time()
            self._wait_for(job.id, min(max(left_s, 0.0), RETRY.pause_s(job.failures)))
        for job in self.reader.with_deadline():
            self._note_deadline(job, time.time())
        self._due_timer.start()

    async def stop(self) -> None:
        """Stop publishing, write what is queued, close the ledger."""
        for timer in (*self._timers.values(), *self._deadlines.values()):
            timer.cancel()
        self._due_timer.stop()
        for task in self._tasks:
            task.cancel()
        if self._release_timer is not None:
            self._release_timer.cancel()
        self.backlog.stop()
        await asyncio.to_thread(self._publisher.stop)
        await asyncio.to_thread(self._query_thread.shutdown)
        self._query_reader.close()
        self.reader.close()
        self._publisher_reader.close()
        await asyncio.to_thread(self._writer.close)  # last: SQLite removes its log with the last connection

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop that `start` was called on."""
        return not_none(self._loop, "the loop of the outbox")

    @property
    def totals(self) -> Totals:
        """The totals of the ledger at its last commit."""
        return self._writer.totals

    async def look(self, work: Callable[[LedgerReader], T]) -> T:
        """Run a long query of the ledger in a thread, one query at a time. Raises StorageError."""
        return await self._running.run_in_executor(self._query_thread, work, self._query_reader)

    async def write(self, work: Callable[[LedgerWriter], T], *, durable: bool = False) -> T:
        """Run `work` in the next commit. Raises StorageError.

        The commit is not durable by default, because most of these changes can be derived again from the files.
        """
        return await self._writer.submit(work, durable=durable)

    async def prove(self) -> int:
        """Test that the ledger can be written, and publish again the jobs that the broker had; return their number.

        It is called after an error of the disk: RabbitMQ may have lost confirmed jobs on the same full disk. Raises
        StorageError.
        """

        def work(ledger: LedgerWriter) -> int:
            ledger.prove()
            return ledger.requeue_all()

        count = await self._writer.submit(work)
        self.release.lost_all()
        self._publisher.wake(rewind=True)
        return count

    async def repair_rows(self) -> None:
        """Repair damaged rows, and publish the jobs again that the broker may not have. Raises StorageError."""
        await self._writer.submit(lambda ledger: ledger.repair_rows())
        self._publisher.wake(rewind=True)

    def accept(self, jobs: Sequence[NewJob]) -> asyncio.Future[list[Accepted | EdgeError]]:
        """Commit `jobs` durably in one commit. Return a future with an answer for each, in order.

        The future raises StorageError. It may be cancelled without any effect on the jobs: a client that disconnects
        must not undo a commit that others share, and accepted jobs must be published.
        """

        def work(ledger: LedgerWriter) -> list[Accepted | EdgeError]:
            now = time.time()
            return [self._accept_one(ledger, job, now) for job in jobs]

        return self._writer.submit(work, then=self._accepted)

    def _accepted(self, answers: list[Accepted | EdgeError]) -> None:
        new = [answer.job for answer in answers if isinstance(answer, Accepted) and answer.created]
        if new:
            if self._journal.on:
                self._journal.accepted(new)
            self.release.came(job for job in new if not job.waits)
            self._publisher.wake()
        self._note_waiting(new)
        for job in new:
            if job.deadline_s is not None and job.power is Power.SURPLUS:
                self._note_deadline(job, job.accepted_at)

    async def make(self, work: Callable[[LedgerWriter, Accept], T]) -> T:
        """Run `work` in a durable commit, then publish the jobs that it accepted. Raises StorageError."""

        def both(ledger: LedgerWriter) -> tuple[T, list[Accepted | EdgeError]]:
            now, answers = time.time(), list[Accepted | EdgeError]()

            def accept(job: NewJob) -> Accepted | EdgeError:
                answers.append(self._accept_one(ledger, job, now))
                return answers[-1]

            return work(ledger, accept), answers

        value, _ = await self._writer.submit(both, then=lambda found: self._accepted(found[1]))
        return value

    async def take_spawned(self, families: Sequence[tuple[str, Sequence[NewJob]]]) -> list[NewJob]:
        """Put spawned jobs into the ledger, durably and in one commit.

        The jobs were accepted when the worker wrote their file, so `max_open_jobs` does not apply to them.

        A job is not made if an open job has the same unique key. It gets a tombstone instead: at each start its file
        is read again, and a node may send it again, when the other job may have ended long ago.

        Args:
            families: the id of each parent with the jobs that its body spawned.

        Returns:
            The jobs that were refused, because the parent spawned a different job in their place before.

        Raises:
            StorageError: the commit or a tombstone could not be written. The jobs can be put in again.
        """
        not_made = list[str]()

        def work(ledger: LedgerWriter) -> tuple[list[JobRow], list[NewJob]]:
            now, rows, others = time.time(), list[JobRow](), list[NewJob]()
            for parent, jobs in families:
                new, different = ledger.spawn(parent, jobs, removed=self._results.removed, now=now)
                rows += new
                others += different
                keyed = (job.id for job in jobs if job.later is not None and job.later.unique_key is not None)
                not_made.extend(job_id for job_id in keyed if ledger.reader.find(job_id) is None)
            return rows, others

        _, others = await self._writer.submit(work, then=self._spawned)
        if not_made:
            await asyncio.to_thread(self._write_tombstones, not_made)
        return others

    def _write_tombstones(self, job_ids: Iterable[str]) -> None:
        """Make durable that these jobs are not made. Raises StorageError."""
        try:
            for job_id in job_ids:
                if not self._results.removed(job_id):
                    self._results.remove(job_id)
        except OSError as err:
            raise StorageError("tombstones of jobs that are not made", err) from err

    def _spawned(self, found: tuple[list[JobRow], list[NewJob]]) -> None:
        if found[0]:
            if self._journal.on:
                self._journal.accepted(found[0])
            self.release.came(job for job in found[0] if not job.waits)
            self._publisher.wake()
        self._note_waiting(found[0])

    def waits_for(self, job: JobRow) -> str:
        """Return a phrase that names the jobs for which `job` waits; empty if there are none. Raises StorageError."""
        edges = self.reader.edges(job.id)
        if (edge := hindrance(edges)) is not None:
            how = {GONE: "is not known", str(JobState.CANCELLED): "was cancelled"}.get(edge.outcome, edge.outcome)
            return f"was to run after job {edge.parent}, which {how}; a worker ends this job"
        left = [edge.parent for edge in edges if not edge.outcome]
        if not left:
            return ""
        others = len(left) - 1
        more = f" and {others} other{'' if others == 1 else 's'}" if others else ""
        return f"runs after job {left[0]}{more}, which {'has' if not others else 'have'} not ended"

    def _note_waiting(self, jobs: Sequence[JobRow]) -> None:
        """Set the timer for jobs that wait for a time, and decide about jobs whose parents have all ended."""
        waiting = [job for job in jobs if job.waits]
        if any(job.due_at is not None for job in waiting):
            self._due_timer.look()
        undecided = [job.id for job in waiting if (edges := self.reader.edges(job.id)) and not still_open(edges)]
        if undecided:
            task = self._running.create_task(self._decide(undecided))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _decide(self, job_ids: list[str]) -> None:
        try:
            await self.dependents.follow(Followers(waiting=job_ids))
        except StorageError as err:
            log.error("%s; trying again in %g s", err, _AGAIN_S)
            self._running.call_later(_AGAIN_S, lambda: self._running.create_task(self._decide(job_ids)))

    def _publish(self, jobs: Sequence[JobRow]) -> None:
        """Publish these jobs, which no longer wait in the ledger."""
        self.release.came(jobs)
        self._publisher.wake()

    async def reprioritise(self, job_id: str, priority: int) -> JobRow:
        """Give an open job another priority. Raises UnknownJob, StorageError."""
        job = await self._writer.submit(lambda ledger: ledger.reprioritise(job_id, priority))
        if job.state is JobState.ACCEPTED and not job.waits:
            self.release.reranked(job)
            self._publisher.wake()
        return job

    async def retry(self, job_id: str, *, failures: int, message: str) -> None:
        """Publish a job again after its back-off: its worker reported a failure and retries are left.

        Raises StorageError.
        """
        wait_s = RETRY.pause_s(failures)
        due_at = time.time() + wait_s
        if await self._writer.submit(
            lambda ledger: ledger.mark_retrying(job_id, failures=failures, due_at=due_at, message=message)
        ):
            self._wait_for(job_id, wait_s)
            if self.release.back([job_id]):
                self._publisher.wake()
            if self._journal.on and (job := self.reader.find(job_id)) is not None:
                self._journal.retrying(job)

    def _accept_one(self, ledger: LedgerWriter, job: NewJob, now: float) -> Accepted | EdgeError:
        try:
            removed = bool(job.key) and self._results.removed(job.id)
            below_limit = ledger.below_limit(self._max_open_jobs)
            added = ledger.insert(job, now=now) if below_limit and not removed else None
            if added is not None:
                return added
            if accepted := ledger.accepted_before(job):
                return accepted
            if removed:
                raise JobGone(job.id)
            if not below_limit:
                raise TooManyJobs(ledger.open_jobs, self._max_open_jobs)
            return ledger.add(job, now=now)
        except StorageError:
            raise
        except EdgeError as err:
            return err

    def _wait_for(self, job_id: str, seconds: float) -> None:
        if timer := self._timers.pop(job_id, None):
            timer.cancel()
        self._timers[job_id] = self._running.call_later(seconds, self._on_due, job_id)

    def _on_due(self, job_id: str) -> None:
        self._timers.pop(job_id, None)
        written = self._writer.write(lambda ledger: ledger.mark_due([job_id]), durable=False)
        written.add_done_callback(partial(self._after_due, again=partial(self._wait_for, job_id, _AGAIN_S)))

    def _after_due(self, written: Future[None], *, again: Callable[[], None]) -> None:
        """Publish the jobs that are due now. Called in the writer's thread.

        If the disk refused the write, `again` is called on the loop, because nothing else tries again.
        """
        if written.exception() is None:
            self._publisher.wake(rewind=True)
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(again)

    def _note_deadline(self, job: JobRow, now: float) -> None:
        """Set the timer for the deadline of `job`. `now` is the wall clock: it measures the time before this start.

        While the gateway runs, a step of the wall clock cannot change the deadline. Over a restart it can: if the clock
        went back, or was not set when the job was accepted, the job gets its whole time again. If the clock was set
        ahead, the job may run at normal power too early.
        """
        if job.deadline_s is None:
            return
        left_s = job.accepted_at + job.deadline_s - now if clock.plausible(job.accepted_at) else job.deadline_s
        left_s = min(max(left_s, 0.0), job.deadline_s)
        self._remind([job.id], left_s)

    def ended(self, results: Sequence[Result]) -> None:
        """Publish other jobs in place of these, and cancel their deadline timers, which may be a year away."""
        for result in results:
            if timer := self._deadlines.pop(result.id, None):
                timer.cancel()
        if self.release.ended(results):
            self._publisher.wake()

    def _remind(self, job_ids: Iterable[str], left_s: float) -> None:
        for job_id in job_ids:
            self._deadlines[job_id] = self._running.call_later(left_s, self._on_deadline, job_id)

    def _on_deadline(self, job_id: str) -> None:
        """Collect the jobs whose deadlines come together for one commit: after a dark night they may be thousands."""
        self._deadlines.pop(job_id, None)
        if not self._due:
            self._running.call_soon(self._hurry)
        self._due.append(job_id)

    def _hurry(self) -> None:
        due, self._due = self._due, []
        self.release.back(due)
        written = self._writer.write(lambda ledger: ledger.hurry(due), durable=False)
        written.add_done_callback(partial(self._after_due, again=partial(self._remind, due, _AGAIN_S)))

    def _fetch(self, after_seq: int, limit: int) -> list[JobRow]:
        """Return the next jobs to publish. Called in the publisher's thread."""
        jobs = self.release.next(self._publisher_reader, limit, anew=not after_seq)
        if (again_s := self.release.again_s) is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring_in, again_s)
        return jobs

    def _ring_in(self, seconds: float) -> None:
        """Wake the publisher after this time: a limit of jobs per minute may allow a further job without any event."""
        if self._release_timer is not None:
            self._release_timer.cancel()
        self._release_timer = self._running.call_later(seconds, self._publisher.wake)

    def _on_confirmed(self, jobs: list[JobRow]) -> Future[None]:
        """Record that the broker has these jobs. Called in the publisher's thread."""
        message_keys = [job.message_key for job in jobs]
        self.release.confirmed(jobs)
        if self._journal.on:
            self._journal.confirmed(jobs)
        return self._writer.write(lambda ledger: ledger.mark_queued(message_keys), durable=False, late=True)

    def _on_reborn(self) -> None:
        """Let every open job be published again; durable on return. Called in the publisher's thread."""

        def work(ledger: LedgerWriter) -> int:
            ledger.meet()  # before the broker's store gets the mark that it belongs to a ledger
            return ledger.requeue_all()

        self._unmet = False
        count = self._writer.write(work, durable=True).result()
        self.release.lost_all()
        if count:
            log.warning("the broker's store is new or may have lost jobs: %d open jobs are published again", count)

    def _on_claimed(self) -> None:
        """Report a lost ledger if this one is new, because the broker's store has belonged to a ledger before.

        Called in the publisher's thread.
        """
        if self._unmet:
            rebuild.tell_missing(self._layout)
            self._writer.write(lambda ledger: ledger.meet(), durable=True).result()
            self._unmet = False

    def _route(self, routes: Routes) -> None:
        self._publisher.route(routes)

    def _on_commit(self) -> None:
        """Pass the commit on to `backlog` and to the callback `committed`. Called in the writer's thread."""
        self.backlog.committed()
        if self._committed is not None:
            self._committed()

    def _on_link(self, link: BrokerLink) -> None:
        """Pass a change of the connection on to the loop. Called in the publisher's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed, link)
