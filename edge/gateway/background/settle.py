"""Records in the ledger what the workers made durable, and wakes the requests that wait for it.

The result file decides, and the ledger follows it. These changes of the ledger need not be durable at once: after a
start of the gateway, or after a lost event, it compares all files with the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from edge.core.errors import StorageError, TornResult
from edge.core.layout import Layout
from edge.gateway.background.activity import Activity
from edge.gateway.background.announcements import Announced, Announcements, Waiters
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.spawned import SpawnedIntake
from edge.gateway.background.starts import StartTimes
from edge.gateway.receipts import Receipts
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import damage
from edge.ledger.writer import LedgerWriter
from edge.model import Failure, FailureCode, JobState, Result, is_job_id
from edge.results.attempts import AttemptsStore
from edge.results.orders import Order, Orders
from edge.results.store import Results

log = logging.getLogger(__name__)

_CHUNK = 500
_AGAIN_S = 30.0
_CHECK_S = 10.0  # time limit of the search for damaged rows
#: Results within this time share a commit, unless one is urgent. Each commit writes three pages to the disk.
_GROUP_S = 0.25


class Settler:
    """Processes announcements of the workers. Runs on the event loop, and reads the files in a thread."""

    def __init__(
        self,
        layout: Layout,
        outbox: Outbox,
        events: Announcements,
        *,
        waiters: Waiters,
        removals: Waiters,
        ended: Callable[[], None],
        journal: Journal,
        activity: Activity,
        starts: StartTimes,
    ) -> None:
        """Connect the parts that follow the end of jobs.

        `waiters` and `removals` are separate, because a worker that gets a copy of a message may announce the result
        again at any time. Such an announcement must not end a wait for the removal.

        Args:
            layout: where the files are.
            outbox: owns the ledger.
            events: the announcements of the workers.
            waiters: the requests that wait for the end of a job.
            removals: the requests that wait for the tombstone of a job.
            ended: called after results were recorded.
            journal: gets the changes as events.
            activity: counts the jobs that ended.
            starts: learns from the times at which jobs started.
        """
        self._layout, self._outbox, self._events = layout, outbox, events
        self._waiters, self._removals = waiters, removals
        self._ended, self._journal, self._activity, self._starts = ended, journal, activity, starts
        self._results, self._attempts, self._orders = Results(layout), AttemptsStore(layout), Orders(layout)
        self._spawned = SpawnedIntake(layout, outbox)
        self.receipts = Receipts()

    async def run(self) -> None:
        """Process announcements until this is cancelled. First compare all files with the ledger."""
        self._events.add(Announced(lost=True))
        loop, settled_at = asyncio.get_running_loop(), -_GROUP_S
        while True:
            announced = await self._events.take(until=settled_at + _GROUP_S, urgent=self._urgent)
            settled_at = loop.time()
            try:
                if announced.lost:
                    await self._look_at_everything()
                await self._settle(announced)
            except Exception as err:
                # The loop survives every error: a gateway that no longer notices results would look healthy and be
                # useless. The waiting requests read the result files themselves; only the ledger is late, until the
                # disk accepts writes again.
                expected = isinstance(err, StorageError)
                log.error("results cannot be recorded: %s; trying again in %g s", err, _AGAIN_S, exc_info=not expected)
                loop.call_later(_AGAIN_S, self._events.add, announced)
                for job_id in announced.results | announced.removed:
                    self._waiters.wake(job_id)
                for job_id in announced.removed:
                    self._removals.wake(job_id)

    @property
    def behind(self) -> bool:
        """True while spawned jobs may be missing in the ledger, because the disk refused to write them."""
        return self._spawned.behind

    async def take_spawned(self, parent: str) -> None:
        """Take the jobs that `parent` spawned into the ledger, unless this was done before. Raises StorageError."""
        await self._spawned.take(await asyncio.to_thread(self._spawned.waiting, parent))

    def _urgent(self, announced: Announced) -> bool:
        """Return False if there are only results, no request waits for them, and no other job for their place."""
        others = announced.lost or announced.removed or announced.attempts or announced.spawned
        if others or self._waiters.any_of(announced.results):
            return True
        return self._outbox.release.gets_more_after(announced.results)

    async def _settle(self, announced: Announced) -> None:
        if announced.spawned:  # before the results, so that the ledger has the children of each ended job
            await self._spawned.take(sorted(announced.spawned))
        ids = iter(announced.results)
        while chunk := list(islice(ids, _CHUNK)):
            await self._finish(chunk)
        if announced.removed:
            await self._drop(announced.removed)
        for job_id in announced.attempts:
            await self._retry(job_id)

    async def _finish(self, job_ids: list[str]) -> None:
        """Close the rows of these jobs. A job without a row came through plain Celery and gets one."""
        found, unread = await asyncio.to_thread(self._read, job_ids)

        if found:
            before = self.receipts
            # Added before the rows are closed, so that the sums include every job that others see as ended.
            self.receipts = before.plus(result for result, _ in found)
            try:
                followers = await self._outbox.write(lambda ledger: ledger.finish_all(found, now=time.time()))
            except BaseException:
                self.receipts = before  # these results are processed again later
                raise
            self._outbox.ended([result for result, _ in found])
            self._outbox.backlog.learn(result for result, _ in found)
            self._starts.ended(result for result, _ in found)
            await self._outbox.dependents.follow(followers)
            self._ended()
            self._activity.ended(result for result, _ in found)
            if self._journal.on:
                self._journal.ended((result for result, _ in found), self._outbox.reader.find)
        if unread:
            asyncio.get_running_loop().call_later(_AGAIN_S, self._events.add, Announced(results=unread))
        self._orders.withdraw_fulfilled(job_id for job_id in job_ids if job_id not in unread)
        for job_id in job_ids:
            self._waiters.wake(job_id)

    async def _drop(self, job_ids: Collection[str]) -> None:
        def work(ledger: LedgerWriter) -> None:
            for job_id in job_ids:
                ledger.drop(job_id)

        going = [self._outbox.reader.find(job_id) for job_id in job_ids] if self._journal.on else []
        await self._outbox.write(work)
        self._journal.removed(job for job in going if job is not None)
        self._orders.withdraw_all(job_ids)
        for job_id in job_ids:
            self._waiters.wake(job_id)
            self._removals.wake(job_id)

    async def _retry(self, job_id: str) -> None:
        attempts = await asyncio.to_thread(self._attempts.read, job_id)
        if attempts is not None and attempts.failures > 0:
            await self._outbox.retry(job_id, failures=attempts.failures, message=attempts.last_error)
            job = self._outbox.reader.find(job_id)
            if job is not None and job.cancel and not job.state.final:
                # The cancel came while the body failed, so it had nothing to interrupt. Cancel during the back-off.
                self._orders.place(Order.CANCEL, job_id)

    def _read(self, job_ids: Iterable[str]) -> tuple[list[tuple[Result, int]], set[str]]:
        """Return the results with their sizes in bytes, and the ids of results that cannot be read now.

        Runs in a thread.
        """
        found, unread = list[tuple[Result, int]](), set[str]()
        for job_id in job_ids:
            try:
                ended = self._results.read_sized(job_id)
                if ended is not None:
                    found.append(ended)
            except TornResult as err:
                log.error("%s", err)
                found.append((_damaged(job_id, str(err)), 0))
            except FileNotFoundError:
                continue  # removed meanwhile; its tombstone will be announced
            except OSError as err:
                log.error("result of %s: %s; trying again in %g s", job_id, err, _AGAIN_S)
                unread.add(job_id)
        return found, unread

    async def _look_at_everything(self) -> None:
        """Process what happened while the gateway did not watch.

        That is: jobs that ended, results without a row, retries, and orders that were not carried out. Damaged rows are
        repaired first, because their state cannot be compared with the files.
        """
        try:
            if odd := await asyncio.to_thread(damage.rot, self._layout.ledger, limit_s=_CHECK_S):
                log.error("rows of the ledger are damaged and are repaired: %s", "; ".join(odd))
                await self._outbox.repair_rows()
        except StorageError as err:  # the other jobs can go on
            log.error("damaged rows of the ledger cannot be repaired: %s", err)
        announced, orders = await asyncio.to_thread(self._survey)
        for order, job_id in orders:
            try:
                self._orders.place(order, job_id)
            except OSError as err:
                raise StorageError("cannot write orders", err) from err
        await self._settle(announced)
        await self._outbox.dependents.survey()

    def _survey(self) -> tuple[Announced, list[tuple[Order, str]]]:
        """Compare all files with the ledger; return the differences, and the orders that must be given again.

        Runs in a thread with a reader for itself, because there may be many thousands of files.
        """
        announced, orders = Announced(), []
        # Includes the files that were taken before: the ledger may be new, or a copy that is older than the files.
        announced.spawned.update(self._spawned.all())
        with LedgerReader.open(self._layout.ledger) as ledger:
            for shard, names in self._results.shards():
                self._compare(names, ledger.ids_with_prefix(shard.name), announced)
            announced.attempts = ledger.open_among(self._attempts.ids())
            for job in ledger.asked():
                if job.remove and self._results.removed(job.id):
                    announced.removed.add(job.id)
                elif job.id not in announced.results:
                    orders.append((Order.DELETE if job.remove else Order.CANCEL, job.id))
        return announced, orders

    def _compare(self, names: set[str], is_open: dict[str, bool], announced: Announced) -> None:
        """Find the results and tombstones in a folder that the ledger does not know yet.

        Args:
            names: the file names in the folder.
            is_open: for each job of this folder in the ledger: True while the ledger counts the job as open.
            announced: gets the results and tombstones that were found.
        """
        gone = {name[:-5] for name in names if name.endswith(".gone")}
        ended = {name[:-5] for name in names if name.endswith(".json")} - gone
        announced.removed.update(job_id for job_id in gone if is_open.get(job_id))
        fresh = {job_id for job_id in ended if is_open.get(job_id, True) and is_job_id(job_id)}
        for job_id in fresh & is_open.keys():
            self._results.confirm(job_id)
            break  # one call makes all names in the folder durable
        announced.results |= fresh


def _damaged(job_id: str, why: str) -> Result:
    """Return a result for the ledger in place of one with a damaged file. The job has ended, but its value is lost."""
    failure = Failure(FailureCode.EXCEPTION, f"the result was published, but its file is damaged: {why}")
    return Result(job_id, "", JobState.FAILED, failure=failure, finished_at=time.time())
