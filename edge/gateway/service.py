"""Implements the operations that the routes call: submit, look up, wait for a result, list. Knows no HTTP."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from edge.access.tokens import Scope
from edge.broker.coverage import gaps
from edge.broker.publisher import BrokerLink
from edge.catalog.catalogue import Catalogue
from edge.config import Config
from edge.core import durable
from edge.core.errors import (
    EdgeError,
    JobGone,
    SpawnedOtherwise,
    StackError,
    StorageError,
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
from edge.gateway.drafts import Drafts
from edge.gateway.endings import Endings
from edge.gateway.files import Files
from edge.gateway.http import tls
from edge.gateway.http.auth import Caller
from edge.gateway.kinds import CatalogueLoader
from edge.gateway.node_output import NodeOutput
from edge.gateway.old_files import OldFiles
from edge.gateway.receipts import Receipts
from edge.gateway.schedules import Schedules
from edge.gateway.series import SeriesMaker
from edge.gateway.views import Views
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import rebuild
from edge.ledger.rows import Accepted, Child, JobRow, NewJob
from edge.model import (
    JobState,
    Power,
    Result,
    SpawnedJobs,
    check_job_id,
)
from edge.results.store import Results
from edge.wire import ChildPage, FollowerPage, JobPage, JobView

log = logging.getLogger(__name__)

_CHILDREN = b'"children"'  # appears in each result that names children


class Appliance:
    """Holds the jobs of one board and the background tasks. All methods run on one loop, between `start` and `stop`."""

    def __init__(self, config: Config, load: Callable[[], Catalogue]) -> None:
        """Open the ledger, after a repair if needed. Call it on the event loop.

        `load` reads the catalogue of tasks, in a thread.

        Raises:
            StorageError: the ledger cannot be opened or rebuilt, or a restore was interrupted.
            StackError: another gateway or a restore uses the same state root.
            ConfigError: the TLS certificate cannot be read.
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
        self.kinds = CatalogueLoader(load, on_loaded=self.outbox.routing.learn)
        self.board = Board(layout, self.outbox)
        self.results = Results(layout)
        self.waiters = Waiters()
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
        self.endings = Endings(layout, self.outbox, self.journal, self.board, view=self.view)
        self._events = Announcements(layout)
        self._retention = Retention(config, self.outbox)
        self._copies = Copies(layout, config.gateway.ledger_copy_s, copied=OldSpawned(layout).forget)
        self.activity = Activity(
            layout.activity,
            open_jobs=lambda: self.outbox.open_jobs,
            keep=config.power.history.keep_days,
        )
        self.series = SeriesMaker(config, self.activity, self.board)
        self._settler = Settler(
            layout,
            self.outbox,
            self._events,
            waiters=self.waiters,
            removals=self.endings.removals,
            ended=self._jobs_ended,
            journal=self.journal,
            activity=self.activity,
            starts=self.board.starts,
        )
        self.away = NodesAway()
        self.node_output = NodeOutput(layout.node_output)
        #: None if the board never sleeps.
        self.sleep: SleepConsent | None = None
        if sleeps:
            self.sleep = SleepConsent(config, self.outbox, readers=lambda: len(self.readers), class_of=self._class_of)
        self._keeper = Timekeeper(
            self.outbox,
            self.journal,
            kind=lambda task: self.kinds.current.tasks.get(task) if self.kinds.readable else None,
        )
        self.files = Files(config)
        self.drafts = Drafts(self.kinds, self.files, self.results)
        self.old_files = OldFiles(self.files, config.gateway.files, self._wanted_files)
        self.schedules = Schedules(self.outbox, self._keeper, check=self.drafts.check_schedule, fill=self.files.filled)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def settled(self) -> int:
        """Return how many results the gateway has seen since its start."""
        return self._settler.receipts.results

    @property
    def receipts(self) -> Receipts:
        """Return the sums of time and energy of the results seen since the start."""
        return self._settler.receipts

    def warnings(self) -> list[str]:
        """Return what an operator should know.

        A ledger was set aside, the copy of the ledger cannot be made, or schedules wait for the clock.
        """
        notes = [f"{folder}: {why}" for folder, why in rebuild.notes(self.config.root)]
        return [*notes, *filter(None, [self._copies.fault, self.schedules.waiting])]

    def unserved(self) -> tuple[str, ...]:
        """Return one sentence for each gap between the kinds of job and the configured workers, with what to change.

        Empty until the catalogue has been read.
        """
        return gaps(self.config, self.kinds.current) if self.kinds.readable else ()

    async def start(self) -> None:
        """Start the background tasks and read the catalogue. Raises StorageError."""
        self.files.start()
        self.node_output.start()
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
        # The timekeeper starts after the catalogue has been read: the kinds say how their jobs run.
        self._tasks.append(asyncio.create_task(self._keeper.run()))
        self._tasks.append(asyncio.create_task(self.kinds.persist()))

    async def stop(self) -> None:
        """End every wait, then write what is queued and close the ledger."""
        self.end_waits()
        if self.sleep is not None:
            self.sleep.stop()
        self.endings.removals.close()
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
        """Answer all requests that wait for a result or for pairing, and end all event streams. Called at the stop."""
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
        """Return the power class of a kind. For an unknown kind, return the class that most keeps the board awake."""
        kind = self.kinds.current.tasks.get(task) if self.kinds.readable else None
        return Power.ALWAYS if kind is None else kind.power

    def _begun(self) -> dict[str, float]:
        """Return for how many seconds each running job has run, by its id."""
        now = time.time()
        return {job.id: now - job.started_at for worker in self.board.workers() for job in worker.running}

    # ---- in ----

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted | EdgeError]:
        """Commit `jobs` durably, in one commit. Return one answer for each, in order. Raises StorageError, Asleep."""
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
            if self._settler.behind:  # it may be a spawned job that is not in the ledger yet, so 404 could be wrong
                raise StorageError("spawned jobs", ValueError("the disk refuses to note them; ask again"))
            raise UnknownJob(job_id)
        if not caller.may_see(job.submitter):
            raise UnknownJob(job_id)  # the caller must not learn that it exists
        return job

    async def view(self, job: JobRow) -> JobView:
        """Return everything about one job. Raises StorageError."""
        if job.state.final:
            result = None
            with suppress(EdgeError, OSError):  # damaged or removed meanwhile: show only what the ledger has
                result = await asyncio.to_thread(self.results.read, job.id)
            return await self._with_family(job, result=result)
        if job.waits:
            return await self._with_family(job)
        kinds, only = self.outbox.routing.routes.kinds_sharing(job.task)
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
        """Return a page of the jobs that run after `job`, sorted by id. Leave out jobs that this caller may not see."""

        def look(ledger: LedgerReader) -> list[tuple[JobRow, tuple[str, ...], int]]:
            found = ledger.followers(job.id, after_id=after, limit=limit + 1)
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
        """Return a page of the jobs that `job` spawned, in their order. Leave out jobs that this caller may not see."""
        running = Views(self.board).running_ids()

        def look(ledger: LedgerReader) -> tuple[list[Child], dict[str, dict[str, int]]]:
            found = ledger.children(job.id, after=after, limit=limit + 1)
            families = [child.id for child in found if ledger.has_children(child.id)]
            return found, {child: ledger.child_counts(child, running=running) for child in families}

        found, families = await self.outbox.look(look)
        more, found = len(found) > limit, found[:limit]
        views = Views(self.board)  # a new snapshot: jobs may have begun or ended meanwhile
        rows = [child.job for child in found if child.job is not None and caller.may_see(child.job.submitter)]
        return ChildPage(
            tuple(views.of(row, parent=job.id, children=families.get(row.id)) for row in rows),
            removed=tuple(child.id for child in found if child.job is None),
            next=str(found[-1].n) if more else None,
        )

    async def take_spawned(self, spawned: SpawnedJobs) -> None:
        """Add the jobs that a body on another board spawned to the ledger. They are durable on return.

        Raises:
            SpawnedOtherwise: an id already belongs to a different job.
            StorageError: the ledger cannot be written.
        """
        parent = self.outbox.reader.find(spawned.id)
        jobs = new_jobs(spawned, submitter=parent.submitter if parent is not None else "")
        conflicts = await self.outbox.take_spawned([(spawned.id, jobs)])
        if conflicts:
            call = next(job.call for job in spawned.jobs if job.id(spawned.id) == conflicts[0].id)
            raise SpawnedOtherwise(conflicts[0].key, call, conflicts[0].id)

    def counts(self) -> dict[JobState, int]:
        """Return the number of jobs in each state. The workers' reports say which open jobs run now."""
        counts = Counter(self.outbox.totals.jobs)
        for job_id in Views(self.board).running_ids():
            with suppress(StorageError):  # the status must work even when the disk fails
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
            views = Views(self.board)  # a new snapshot: jobs may have begun or ended meanwhile
        more, rows = len(rows) > limit, rows[:limit]
        shown = [job for job in rows if state is None or views.state(job) is state]
        return JobPage(tuple(views.of(job) for job in shown), next=str(rows[-1].seq) if more else None)

    async def payload(self, job: JobRow, *, wait_s: float) -> bytes | None:
        """Return the bytes of the result file, or None if the job has no result after `wait_s` seconds.

        The file may be read before the gateway has noticed it. If the result names children, they are added to the
        ledger before the return, so that a client finds them. On a full disk the result is returned without that.

        Raises TornResult, JobGone, OSError.
        """
        with self.waiters.expecting(job.id) as ended:
            payload = await asyncio.to_thread(self._payload, job)
            if payload is None and wait_s > 0 and not job.state.final:
                await asyncio.wait([ended], timeout=wait_s)
                payload = await asyncio.to_thread(self._payload, job, announced=self.waiters.ended_for(ended))
        if payload is not None and _CHILDREN in payload and not job.state.final:
            with suppress(StorageError):  # a full disk must not keep the result from the client
                await self._settler.take_spawned(job.id)
        if payload is None and self.results.removed(job.id):
            raise JobGone(job.id)
        return payload

    def _payload(self, job: JobRow, *, announced: bool = False) -> bytes | None:
        """Read the result. If it is not announced yet, make it durable against a power cut first. Runs in a thread."""
        payload = self.results.read_bytes(job.id)
        if payload is not None and not (announced or job.state.final):
            self.results.confirm(job.id)
        return payload

    async def reprioritise(self, job: JobRow, priority: int) -> JobView:
        """Give an open job another priority. A job that the broker already has keeps its place there.

        Raises WrongState if the job has ended, UnknownJob, StorageError.
        """
        if not job.state.final:
            job = await self.outbox.reprioritise(job.id, priority)
        if job.state.final:
            raise WrongState(f"job {job.id!r} has ended ({job.state})")
        return await self.view(job)


def _alone(root: Path) -> BinaryIO:
    """Take the lock that allows only one gateway for a state root. It is held while the returned file is open.

    Raises:
        StorageError: the folder or the lock file cannot be made.
        StackError: another gateway or a restore holds the lock.
    """
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
