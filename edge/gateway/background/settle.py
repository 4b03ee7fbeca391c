"""Notes in the ledger what the workers made durable, and wakes the waiting requests.

The result file counts, and the ledger follows it. Nothing here has to be durable at once, because a start of the
gateway, or a lost event, leads to a look at everything.
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
#: Results that come faster than this share a commit, unless a request waits: each commit writes three pages.
_COMPANY_S = 0.25


class Settler:
    """Runs on the gateway's loop; reads files in a thread, many to one commit."""

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
        """`waiters` wait for a job's end, `removals` for its tombstone; `ended` is called after results were settled.

        They are separate, because a worker that gets a copy of the message may announce the result again at any time.
        """
        self._layout, self._outbox, self._events = layout, outbox, events
        self._waiters, self._removals = waiters, removals
        self._ended, self._journal, self._activity, self._starts = ended, journal, activity, starts
        self._results, self._attempts, self._orders = Results(layout), AttemptsStore(layout), Orders(layout)
        self._spawned = SpawnedIntake(layout, outbox)
        self.receipts = Receipts()

    async def run(self) -> None:
        """Settle for ever; first everything that happened while nobody looked."""
        self._events.add(Announced(lost=True))
        loop, settled_at = asyncio.get_running_loop(), -_COMPANY_S
        while True:
            news = await self._events.take(until=settled_at + _COMPANY_S, urgent=self._urgent)
            settled_at = loop.time()
            try:
                if news.lost:
                    await self._look_at_everything()
                await self._settle(news)
            except Exception as err:
                # Whatever it was: a gateway that no longer notices results looks well and is of no use. Waiters read
                # the file itself; only the ledger is behind, until the disk takes writes again.
                foreseen = isinstance(err, StorageError)
                log.error("results cannot be noted: %s; trying again in %g s", err, _AGAIN_S, exc_info=not foreseen)
                loop.call_later(_AGAIN_S, self._events.add, news)
                for job_id in news.results | news.removed:
                    self._waiters.wake(job_id)
                for job_id in news.removed:
                    self._removals.wake(job_id)

    @property
    def behind(self) -> bool:
        """True while accepted jobs may be missing in the ledger, because the disk refused what bodies spawned."""
        return self._spawned.behind

    async def take_spawned(self, parent: str) -> None:
        """Take what the job `parent` spawned, if that is not done yet. Raises StorageError."""
        await self._spawned.take(await asyncio.to_thread(self._spawned.waiting, parent))

    def _urgent(self, news: Announced) -> bool:
        """True unless there are only results of jobs that no request waits for, and no job for its turn."""
        if news.lost or news.removed or news.attempts or news.spawned or self._waiters.any_of(news.results):
            return True
        return self._outbox.release.hungry(news.results)

    async def _settle(self, news: Announced) -> None:
        if news.spawned:  # before the results: who sees a job ended finds its children
            await self._spawned.take(sorted(news.spawned))
        ids = iter(news.results)
        while chunk := list(islice(ids, _CHUNK)):
            await self._finish(chunk)
        if news.removed:
            await self._drop(news.removed)
        for job_id in news.attempts:
            await self._retry(job_id)

    async def _finish(self, job_ids: list[str]) -> None:
        """Close the rows of these jobs. A job without a row came by plain Celery and gets one."""
        found, unread = await asyncio.to_thread(self._read, job_ids)

        if found:
            before = self.receipts
            # Before the rows are closed, so that the sums include every job that is seen as ended.
            self.receipts = before.plus(result for result, _ in found)
            try:
                followers = await self._outbox.write(lambda ledger: ledger.finish_all(found, now=time.time()))
            except BaseException:
                self.receipts = before  # they come again
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
        self._orders.ended(job_id for job_id in job_ids if job_id not in unread)
        for job_id in job_ids:
            self._waiters.wake(job_id)

    async def _drop(self, job_ids: Collection[str]) -> None:
        def work(ledger: LedgerWriter) -> None:
            for job_id in job_ids:
                ledger.drop(job_id)

        going = [self._outbox.reader.find(job_id) for job_id in job_ids] if self._journal.on else []
        await self._outbox.write(work)
        self._journal.removed(job for job in going if job is not None)
        self._orders.removed(job_ids)
        for job_id in job_ids:
            self._waiters.wake(job_id)
            self._removals.wake(job_id)

    async def _retry(self, job_id: str) -> None:
        attempts = await asyncio.to_thread(self._attempts.read, job_id)
        if attempts is not None and attempts.failures > 0:
            await self._outbox.retry(job_id, failures=attempts.failures, message=attempts.last_error)
            job = self._outbox.reader.find(job_id)
            if job is not None and job.cancel and not job.state.final:
                # The cancel came while the body failed, so it interrupted nothing. Carry it out during the back-off.
                self._orders.give(Order.CANCEL, job_id)

    def _read(self, job_ids: Iterable[str]) -> tuple[list[tuple[Result, int]], set[str]]:
        """Results with their sizes, and the ids of those that cannot be read now. Runs in a thread."""
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
                continue  # removed meanwhile; its tombstone is on the way
            except OSError as err:
                log.error("result of %s: %s; trying again in %g s", job_id, err, _AGAIN_S)
                unread.add(job_id)
        return found, unread

    async def _look_at_everything(self) -> None:
        """Find what happened while nobody watched: ended jobs, jobs without a row, retries, orders not carried out.

        Damaged rows come first, because their state cannot be compared with the files.
        """
        try:
            if odd := await asyncio.to_thread(damage.rot, self._layout.ledger, limit_s=_CHECK_S):
                log.error("rows of the ledger have rotted and are mended: %s", "; ".join(odd))
                await self._outbox.repair_rows()
        except StorageError as err:  # the other jobs go on
            log.error("rows of the ledger that rotted cannot be mended: %s", err)
        news, orders = await asyncio.to_thread(self._survey)
        for order, job_id in orders:
            try:
                self._orders.give(order, job_id)
            except OSError as err:
                raise StorageError("cannot write orders", err) from err
        await self._settle(news)
        await self._outbox.dependents.survey()

    def _survey(self) -> tuple[Announced, list[tuple[Order, str]]]:
        """Runs in a thread with its own view of the ledger: there may be many thousands of files."""
        news, orders = Announced(), []
        # Those taken as well: the ledger may be a new one, or older than they are.
        news.spawned.update(self._spawned.all())
        with LedgerReader.open(self._layout.ledger) as ledger:
            for shard, names in self._results.shards():
                self._compare(names, ledger.open_by_id(shard.name), news)
            news.attempts = ledger.open_among(self._attempts.ids())
            for job in ledger.asked():
                if job.remove and self._results.removed(job.id):
                    news.removed.add(job.id)
                elif job.id not in news.results:
                    orders.append((Order.DELETE if job.remove else Order.CANCEL, job.id))
        return news, orders

    def _compare(self, names: set[str], is_open: dict[str, bool], news: Announced) -> None:
        """Add to `news` what the `names` in a folder of results say and the ledger does not know yet.

        Args:
            names: the file names in the folder.
            is_open: the ids that the ledger has, each with whether its job is still open.
            news: is added to.
        """
        gone = {name[:-5] for name in names if name.endswith(".gone")}
        ended = {name[:-5] for name in names if name.endswith(".json")} - gone
        news.removed.update(job_id for job_id in gone if is_open.get(job_id))
        fresh = {job_id for job_id in ended if is_open.get(job_id, True) and is_job_id(job_id)}
        for job_id in fresh & is_open.keys():
            self._results.confirm(job_id)
            break  # it makes all names in the folder durable
        news.results |= fresh


def _damaged(job_id: str, why: str) -> Result:
    """What the ledger keeps of a job whose result file cannot be read: the job is over, its value is lost."""
    failure = Failure(FailureCode.EXCEPTION, f"the result was published, but its file is damaged: {why}")
    return Result(job_id, "", JobState.FAILED, failure=failure, finished_at=time.time())
