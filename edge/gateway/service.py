"""What the gateway does for its routes: submit, look up, wait, cancel, remove. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from edge.access.tokens import Scope
from edge.broker.coverage import gaps
from edge.broker.publisher import BrokerLink
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.config import Config
from edge.core import durable
from edge.core.errors import (
    EdgeError,
    JobGone,
    SpawnedOtherwise,
    StackError,
    StorageError,
    UnknownInput,
    UnknownJob,
    WrongState,
)
from edge.core.values import JsonObject, JsonValue
from edge.gateway.background.activity import Activity
from edge.gateway.background.announcements import Announcements, Waiters
from edge.gateway.background.copies import Copies
from edge.gateway.background.journal import Journal
from edge.gateway.background.nodes_away import NodesAway
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.pairing import Pairings
from edge.gateway.background.readers import Readers
from edge.gateway.background.retention import Retention
from edge.gateway.background.settle import Settler
from edge.gateway.background.sleep import SleepConsent
from edge.gateway.background.spawned import OldSpawned, new_jobs
from edge.gateway.background.status_watch import StatusWatch
from edge.gateway.background.storage_fault import StorageFault
from edge.gateway.background.timekeeper import Timekeeper
from edge.gateway.board import Board, broker_view
from edge.gateway.files import Files
from edge.gateway.http import tls
from edge.gateway.http.auth import Caller
from edge.gateway.kinds import CatalogueLoader
from edge.gateway.old_files import OldFiles
from edge.gateway.receipts import Receipts
from edge.gateway.schedules import Schedules
from edge.gateway.series import SeriesMaker
from edge.gateway.views import Views
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import rebuild
from edge.ledger.rows import Accepted, Child, JobRow, NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import (
    InputFile,
    JobState,
    Locality,
    Power,
    Result,
    Schedule,
    SpawnedJobs,
    Submission,
    check_job_id,
    derived_job_id,
    new_job_id,
)
from edge.results.orders import Order, Orders
from edge.results.store import Results
from edge.schedule.later import later
from edge.wire import ChildPage, FollowerPage, JobPage, JobView

log = logging.getLogger(__name__)

#: How long the answer to a removal waits for its end. After that it only says that the removal was requested.
_REMOVAL_S = 2.0
_CHILDREN = b'"children"'  # stands in a result that names some
_encode = msgspec.json.Encoder(order="deterministic").encode


class Appliance:
    """The jobs of one board. All methods run on one event loop, between `start` and `stop`."""

    def __init__(self, config: Config, load: Callable[[], Catalogue]) -> None:
        """Open the ledger, after a repair if needed. Call it on the event loop.

        `load` reads the catalogue of tasks, in a thread.

        Raises:
            StorageError: the ledger cannot be opened or rebuilt, or a restore was interrupted.
            StackError: another gateway or a restore works on the same state root.
        """
        layout = config.layout
        self.config = config
        self._lock = _alone(layout.root)
        rebuild.rebuild(layout)
        self.journal = Journal()
        sleeps = config.power.sleep.when != "never"
        self.outbox = Outbox(
            config,
            changed=self._link_changed,
            journal=self.journal,
            begun=self._begun,
            check=self._check,
            committed=self._committed if sleeps else None,
        )
        self.kinds = CatalogueLoader(load, learnt=self.outbox.routing.learn)
        self.board = Board(layout, self.outbox)
        self.results = Results(layout)
        self.waiters = Waiters()
        self._removals = Waiters()
        self.readers = Readers(
            self.journal,
            StatusWatch(
                self.journal,
                layout,
                workers=self.board.workers,
                verdict=self.board.verdict,
                find=self.outbox.reader.find,
                scaling=self.board.scaling,
            ),
            most=max(1, config.gateway.max_connections // 2),
        )
        button = config.power.button
        self.pairings = Pairings(
            layout,
            tls.fingerprint(config.gateway),
            button_scopes=tuple(map(Scope, button.pair_scopes)) if button and button.long_press == "pair" else (),
        )
        self.started_at = time.time()
        self.fault = StorageFault(self.outbox)
        self._locality = Locality()
        self._orders = Orders(layout)
        self._events = Announcements(layout)
        self._retention = Retention(config, self.outbox)
        self._copies = Copies(layout, config.gateway.ledger_copy_s, copied=OldSpawned(layout).forget)
        self.activity = Activity(
            layout.activity,
            open_jobs=lambda: self.outbox.totals.open_jobs,
            keep=config.power.history.keep_days,
        )
        self.series = SeriesMaker(config, self.activity, self.board)
        self._settler = Settler(
            layout,
            self.outbox,
            self._events,
            waiters=self.waiters,
            removals=self._removals,
            ended=self._jobs_ended,
            journal=self.journal,
            activity=self.activity,
            starts=self.board.starts,
        )
        self.away = NodesAway()
        #: None where the board never sleeps.
        self.sleep: SleepConsent | None = None
        if sleeps:
            self.sleep = SleepConsent(config, self.outbox, readers=lambda: len(self.readers), class_of=self._class_of)
        self._keeper = Timekeeper(
            self.outbox,
            self.journal,
            kind=lambda task: self.kinds.current.tasks.get(task) if self.kinds.readable else None,
        )
        self.files = Files(config)
        self.old_files = OldFiles(self.files, config.gateway.files, self._wanted_files)
        self.schedules = Schedules(self.outbox, self._keeper, check=self._check_schedule, fill=self.files.filled)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def settled(self) -> int:
        """Results seen since the start."""
        return self._settler.receipts.results

    @property
    def receipts(self) -> Receipts:
        """Sums of time and energy over those results."""
        return self._settler.receipts

    def warnings(self) -> list[str]:
        """Return what a person should know: ledgers that were set aside, a copy that cannot be made."""
        notes = [f"{folder}: {why}" for folder, why in rebuild.notes(self.config.root)]
        return [*notes, *filter(None, [self._copies.fault, self.schedules.waiting])]

    def unserved(self) -> tuple[str, ...]:
        """Return one sentence for each gap that no configured worker covers, with what to change."""
        return gaps(self.config, self.kinds.current) if self.kinds.readable else ()

    async def start(self) -> None:
        """Start the background tasks and read the catalogue. Raises StorageError."""
        self.files.start()
        self._events.start()
        self.outbox.start()
        self._tasks = [
            asyncio.create_task(work())
            for work in (
                self._settler.run,
                self._retention.run,
                self._copies.run,
                self.outbox.routing.run,
                self.old_files.run,
            )
        ]
        await self.kinds.reload()
        if self.sleep is not None:
            self.sleep.start()
        # After the catalogue, whose kinds say how their jobs run.
        self._tasks.append(asyncio.create_task(self._keeper.run()))
        self._tasks.append(asyncio.create_task(self.kinds.persist()))

    async def stop(self) -> None:
        """End every wait, then write what is queued and close the ledger."""
        self.end_waits()
        if self.sleep is not None:
            self.sleep.stop()
        self._removals.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._events.close()
        await self.activity.stop()
        self.board.starts.save()
        await self.fault.close()
        await self.outbox.stop()
        await asyncio.to_thread(self._copies.stop)
        self._lock.close()

    def end_waits(self) -> None:
        """Answer those who wait for a result or to be let in, and end all streams of events: the gateway stops."""
        self.waiters.close()
        self.pairings.close()
        self.readers.close()

    def _jobs_ended(self) -> None:
        self._retention.ended()
        self.old_files.ended()

    async def _wanted_files(self) -> set[str]:
        return await self.outbox.look(lambda ledger: ledger.wanted_files())

    def _link_changed(self, link: BrokerLink) -> None:
        if self.journal.on:
            self.journal.broker(broker_view(link))

    def _check(self, task: str, args: list[JsonValue], kwargs: JsonObject) -> None:
        self.kinds.current.check(task, args, kwargs)

    def _committed(self) -> None:
        if self.sleep is not None:
            self.sleep.committed()

    def _class_of(self, task: str) -> Power:
        """The power class of a kind; of an unknown one the class that keeps the board awake most."""
        kind = self.kinds.current.tasks.get(task) if self.kinds.readable else None
        return Power.ALWAYS if kind is None else kind.power

    def _begun(self) -> dict[str, float]:
        """For how many seconds each job runs that is known to run."""
        now = time.time()
        return {job.id: now - job.started_at for worker in self.board.workers() for job in worker.running}

    # ---- in ----

    def _check_schedule(self, asked: Schedule, caller: Caller) -> None:
        """Raise UnknownTask, BadArguments, Forbidden or Busy when no such job can be made."""
        catalogue = self.kinds.current
        catalogue.check(asked.task, asked.args, asked.kwargs)
        kind = catalogue.tasks[asked.task]
        caller.may_run(kind.name, kind.scope)
        kind.check_files(asked.files)

    def kind_of(self, submission: Submission, caller: Caller, *, open_values: bool) -> TaskInfo:
        """Return the kind of a job whose arguments it takes, and that this caller may run. Its files are not looked at.

        With `open_values` its arguments may hold results of other jobs. May be called in a thread; raises as `checked`.
        """
        catalogue = self.kinds.current
        catalogue.check(submission.task, submission.args, submission.kwargs, open_values=open_values)
        kind = catalogue.tasks[submission.task]
        caller.may_run(kind.name, kind.scope)
        return kind

    def checked(self, submission: Submission, *, key: str, caller: Caller, results: Collection[str] = ()) -> NewJob:
        """Return the job for `submission`. May be called in a thread.

        `results` are the ids of jobs whose results stand in its arguments.

        Raises:
            UnknownTask: no kind of job has this name.
            BadArguments: the kind does not take these arguments.
            UnknownInput: a file that it names is not there.
            UsageError: it cannot wait like that.
            Forbidden: the kind asks for a scope that the caller does not have.
            Busy: the catalogue has not been read yet.
        """
        kind = self.kind_of(submission, caller, open_values=bool(results))
        job_id = derived_job_id(caller.name, key) if key else new_job_id(self._locality.prefix())
        files = self._files_of(submission, job_id) if submission.files else {}
        kind.check_files(files)
        return NewJob(
            id=job_id,
            task=submission.task,
            args=submission.args,
            kwargs=submission.kwargs,
            power=submission.power or kind.power,
            retries=kind.retries if submission.retries is None else submission.retries,
            time_limit_s=submission.time_limit_s or kind.time_limit_s,
            deadline_s=submission.deadline_s,
            max_temp_c=submission.max_temp_c,
            submitter=caller.name,
            fingerprint=sha256(
                _encode(submission)
            ).digest(),  # of the submission itself, so that a new default of the task is no conflict
            key=key,
            later=later(submission, results=results, foreign=caller.sees_all),
            files=files,
        )

    def _files_of(self, submission: Submission, job_id: str) -> dict[str, InputFile]:
        """The files of a submission, filled in. Raises UnknownInput, UsageError, StorageError."""
        try:
            return self.files.filled(submission.files)
        except UnknownInput:
            if not self.results.has(job_id):
                raise
            return submission.files  # sent again with its key, after its job has ended and its files are gone

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted | EdgeError]:
        """Commit `jobs` durably, in one commit; return an answer for each, in order. Raises StorageError, Asleep."""
        if self.sleep is not None:
            self.sleep.check(jobs)
        try:
            answers = await self.outbox.accept(jobs)
        except StorageError as err:
            self.fault.note(err)
            raise
        self.fault.clear()
        self.activity.accepted()
        return answers

    # ---- out ----

    def job(self, job_id: str, caller: Caller) -> JobRow:
        """Return the row of a job that this caller may see. Raises UnknownJob, JobGone, BadJobId, StorageError."""
        job = self.outbox.reader.find(check_job_id(job_id))
        if job is None:
            if self.results.removed(job_id) and caller.sees_all:
                raise JobGone(job_id)
            raise UnknownJob(job_id)
        if not caller.may_see(job.submitter):
            raise UnknownJob(job_id)  # the caller must not learn that it exists
        return job

    async def view(self, job: JobRow) -> JobView:
        """Return everything about one job. Raises StorageError."""
        if job.state.final:
            result = None
            with suppress(EdgeError, OSError):  # damaged or removed meanwhile: what the ledger has is shown then
                result = await asyncio.to_thread(self.results.read, job.id)
            return await self._with_family(job, result=result)
        if job.waits:
            return await self._with_family(job)
        kinds, only = self.outbox.routing.routes.beside(job.task)
        return await self._with_family(job, ahead=self.outbox.reader.ahead(job, tasks=kinds, only=only))

    async def _with_family(self, job: JobRow, *, ahead: int | None = None, result: Result | None = None) -> JobView:
        reader, views = self.outbox.reader, Views(self.board)
        parent, children = reader.parent_of(job.id), dict[str, int]()
        if reader.has_children(job.id):  # counting many takes a while
            running = views.running_ids()
            children = await self.outbox.look(lambda ledger: ledger.child_counts(job.id, running=running))
        return views.of(
            job,
            ahead=ahead,
            result=result,
            parent=parent,
            children=children,
            after=tuple(edge.parent for edge in reader.edges(job.id)),
            followers=reader.follower_count(job.id),
        )

    async def followers(self, job: JobRow, caller: Caller, *, after: str, limit: int) -> FollowerPage:
        """Return a page of the jobs that run after `job`, by id, as far as this caller may see them."""

        def look(ledger: LedgerReader) -> list[tuple[JobRow, tuple[str, ...], int]]:
            found = ledger.followers(job.id, after=after, limit=limit + 1)
            return [
                (row, tuple(edge.parent for edge in ledger.edges(row.id)), ledger.follower_count(row.id))
                for row in found
            ]

        found = await self.outbox.look(look)
        more, found = len(found) > limit, found[:limit]
        views = Views(self.board)
        return FollowerPage(
            tuple(
                views.of(row, after=parents, followers=count)
                for row, parents, count in found
                if caller.may_see(row.submitter)
            ),
            next=found[-1][0].id if more else None,
        )

    async def children(self, job: JobRow, caller: Caller, *, after: int, limit: int) -> ChildPage:
        """Return a page of the jobs that `job` spawned, in order, as far as this caller may see them."""
        running = Views(self.board).running_ids()

        def look(ledger: LedgerReader) -> tuple[list[Child], dict[str, dict[str, int]]]:
            found = ledger.children(job.id, after=after, limit=limit + 1)
            families = [child.id for child in found if ledger.has_children(child.id)]
            return found, {child: ledger.child_counts(child, running=running) for child in families}

        found, families = await self.outbox.look(look)
        more, found = len(found) > limit, found[:limit]
        views = Views(self.board)  # of now: some may have begun or ended meanwhile
        rows = [child.job for child in found if child.job is not None and caller.may_see(child.job.submitter)]
        return ChildPage(
            tuple(views.of(row, parent=job.id, children=families.get(row.id)) for row in rows),
            removed=tuple(child.id for child in found if child.job is None),
            next=str(found[-1].n) if more else None,
        )

    async def take_spawned(self, spawned: SpawnedJobs) -> None:
        """Take the jobs that a body on another board spawned; durable on return.

        Raises StorageError; SpawnedOtherwise when one of the ids belongs to a different job.
        """
        parent = self.outbox.reader.find(spawned.id)
        jobs = new_jobs(spawned, submitter=parent.submitter if parent is not None else "")
        others = await self.outbox.take_spawned([(spawned.id, jobs)])
        if others:
            call = next(job.call for job in spawned.jobs if job.id(spawned.id) == others[0].id)
            raise SpawnedOtherwise(others[0].key, call, others[0].id)

    def counts(self) -> dict[JobState, int]:
        """Return the number of jobs in each state. The ledger does not know which open jobs run now."""
        counts = Counter(self.outbox.totals.jobs)
        for job_id in Views(self.board).running_ids():
            with suppress(StorageError):  # the status must work above all when the disk fails
                if (job := self.outbox.reader.find(job_id)) is not None and not job.state.final:
                    counts[job.state] -= 1
                    counts[JobState.RUNNING] += 1
        return {state: counts[state] for state in JobState if counts[state] > 0}

    async def page(
        self, caller: Caller, *, state: JobState | None, task: str | None, before_seq: int | None, limit: int
    ) -> JobPage:
        """Return a page of the jobs that this caller may see, newest first. Raises StorageError."""
        reader, views = self.outbox.reader, Views(self.board)
        submitter = None if caller.sees_all else caller.name
        if state is JobState.RUNNING:
            found = [job for job in map(reader.find, views.running_ids()) if job is not None]
            found = [job for job in found if task in (None, job.task) and submitter in (None, job.submitter)]
            rows = sorted((job for job in found if job.seq < (before_seq or job.seq + 1)), key=lambda job: -job.seq)
        else:
            states = (state,) if state else ()
            rows = await self.outbox.look(
                lambda ledger: ledger.page(
                    states=states, task=task, submitter=submitter, before_seq=before_seq, limit=limit + 1
                )
            )
            views = Views(self.board)  # of now: some may have begun or ended meanwhile
        more, rows = len(rows) > limit, rows[:limit]
        shown = [job for job in rows if state is None or views.state(job) is state]
        return JobPage(tuple(views.of(job) for job in shown), next=str(rows[-1].seq) if more else None)

    async def payload(self, job: JobRow, *, wait_s: float) -> bytes | None:
        """Return the result as the bytes in its file, after at most `wait_s` seconds; None when there is none by then.

        The file may be read before the gateway has noticed it. The children that it names are jobs by then, too.

        Raises TornResult, JobGone, OSError.
        """
        with self.waiters.expecting(job.id) as ended:
            payload = await asyncio.to_thread(self._payload, job)
            if payload is None and wait_s > 0 and not job.state.final:
                await asyncio.wait([ended], timeout=wait_s)
                payload = await asyncio.to_thread(self._payload, job, announced=self.waiters.ended_for(ended))
        if payload is not None and _CHILDREN in payload and not job.state.final:
            with suppress(StorageError):  # the result is given out on a full disk, too
                await self._settler.take_spawned(job.id)
        if payload is None and self.results.removed(job.id):
            raise JobGone(job.id)
        return payload

    def _payload(self, job: JobRow, *, announced: bool = False) -> bytes | None:
        """Read the result, in a thread. One that is not announced yet is first made durable against a power cut."""
        payload = self.results.read_bytes(job.id)
        if payload is not None and not (announced or job.state.final):
            self.results.confirm(job.id)
        return payload

    # ---- end ----

    async def end(self, job: JobRow, *, if_open: bool, if_final: bool) -> JobView | None:
        """Cancel an open job or remove an ended one; None once it is removed, else how it stands.

        Raises WrongState when the job is not in a state that the caller wants to end.
        """
        if job.state.final:
            if not if_final:
                raise WrongState(f"job {job.id!r} has ended ({job.state}); its result is there")
            return await self._remove(job)
        if not if_open:
            raise WrongState(f"job {job.id!r} has not ended; cancel it first")
        await self.outbox.write(lambda ledger: ledger.ask_cancel(job.id), durable=True)
        self._order(Order.CANCEL, job.id)
        now = self.outbox.reader.get(job.id)
        if self.journal.on and not now.state.final:
            self.journal.cancelling(now)
        return await self.view(now)

    async def reprioritise(self, job: JobRow, priority: int) -> JobView:
        """Give an open job another priority. One that the broker has already keeps its place there.

        Raises WrongState when it has ended.
        """
        if not job.state.final:
            job = await self.outbox.reprioritise(job.id, priority)
        if job.state.final:
            raise WrongState(f"job {job.id!r} has ended ({job.state})")
        return await self.view(job)

    async def cancel_all(self, jobs: Sequence[JobRow]) -> None:
        """Ask these open jobs to stop, in one durable commit. Raises StorageError."""

        def work(ledger: LedgerWriter) -> None:
            for job in jobs:
                with suppress(UnknownJob):  # removed meanwhile
                    ledger.ask_cancel(job.id)

        await self._order_all(jobs, Order.CANCEL, work)

    async def remove_all(self, jobs: Sequence[JobRow]) -> None:
        """Ask for the removal of these ended jobs, in one durable commit. Raises StorageError."""
        await self._order_all(jobs, Order.DELETE, lambda ledger: ledger.ask_remove([job.id for job in jobs]))

    async def _order_all(self, jobs: Sequence[JobRow], order: Order, work: Callable[[LedgerWriter], None]) -> None:
        if not jobs:
            return
        await self.outbox.write(work, durable=True)

        def lay() -> None:
            for job in jobs:
                self._order(order, job.id)

        await asyncio.to_thread(lay)
        if order is Order.CANCEL and self.journal.on:
            for job in jobs:
                if not self.journal.has_ended(job.id):
                    self.journal.cancelling(msgspec.structs.replace(job, cancel=True))

    async def _remove(self, job: JobRow) -> JobView | None:
        await self.outbox.write(lambda ledger: ledger.ask_remove([job.id]), durable=True)
        with self._removals.expecting(job.id) as gone:
            self._order(Order.DELETE, job.id)
            await asyncio.wait([gone], timeout=_REMOVAL_S if self.board.workers() else 0)
        left = self.outbox.reader.find(job.id)
        return None if left is None else await self.view(left)

    def _order(self, order: Order, job_id: str) -> None:
        try:
            self._orders.give(order, job_id)
        except OSError as err:
            raise StorageError("cannot write orders", err) from err


def _alone(root: Path) -> BinaryIO:
    """Take the lock that allows one gateway a state root. It is held while the returned file is open."""
    try:
        durable.make_folder(root)
        file = (root / "gateway.lock").open("ab")
    except OSError as err:
        raise StorageError(f"state root {root}", err) from err
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        file.close()
        raise StackError(f"a gateway, or `edge restore`, is at work on {root} already") from err
    return file
