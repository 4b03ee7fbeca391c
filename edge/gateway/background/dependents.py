"""Decides about jobs that run after other jobs: releases them, or ends them if they can never run.

A job whose arguments refer to results of other jobs gets these results first. The gateway writes no results: for a job
that can never run it writes an order, and a worker publishes the failure.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

import msgspec

from edge.core.errors import BadArguments, EdgeError, StorageError, TornResult
from edge.core.layout import Layout
from edge.core.values import JsonValue
from edge.ledger.commit_thread import CommitThread
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import Followers, JobRow
from edge.model import Failure, FailureCode, JobState
from edge.results.orders import Orders
from edge.results.store import Results
from edge.schedule.arguments import with_results
from edge.schedule.dependencies import GONE, Edge, hindrance, may_run

log = logging.getLogger(__name__)

#: The message of a job that failed because of another job begins with the name of that other job.
_ROOT = re.compile(r"job (\S+) (?:failed|was cancelled|is not known)")

#: Largest size of arguments, the same as for a submission: RabbitMQ 4 rejects messages over 16 MiB.
_MOST_BYTES = 4 << 20

#: Raises BadArguments if these arguments do not fit the signature of the kind.
Check = Callable[[str, list[JsonValue], dict[str, JsonValue]], None]


class Dependents:
    """Releases, supplies or ends jobs whose parents have ended. Runs on the event loop; reads results in a thread."""

    def __init__(
        self,
        layout: Layout,
        writer: CommitThread,
        reader: LedgerReader,
        *,
        publish: Callable[[Sequence[JobRow]], None],
        check: Check,
    ) -> None:
        """`publish` is called with jobs that may be published now; `check` with the arguments of a supplied job."""
        self._writer, self._reader, self._publish = writer, reader, publish
        self._check = check
        self._results, self._orders = Results(layout), Orders(layout)

    async def survey(self) -> None:
        """Decide about the jobs that an earlier gateway left undecided. Raises StorageError."""
        if not self._reader.unfired() and not self._reader.undecided():
            return
        await self.follow(await self._writer.submit(lambda ledger: ledger.fire_missed(), durable=False))

    async def follow(self, followers: Followers) -> None:
        """Publish the free jobs of `followers`; supply or end the waiting ones if possible. Raises StorageError."""
        if followers.free:
            self._publish(followers.free)
        for job_id in followers.waiting:
            await self._decide(job_id)

    async def _decide(self, job_id: str) -> None:
        edges = self._reader.edges(job_id)
        if (edge := hindrance(edges)) is not None:
            self._end(job_id, Failure(FailureCode.DEPENDENCY_FAILED, self._reason(edge)))
        elif may_run(edges) and self._reader.needs_results(job_id):
            await self._supply(job_id)

    def _reason(self, edge: Edge) -> str:
        """Return why a job can never run. It names the job at the beginning of the chain, which caused the failure."""
        if edge.outcome == GONE:
            return f"job {edge.parent} is not known, and this one was to run after it"
        parent = self._reader.find(edge.parent)
        root = _ROOT.match(parent.message) if parent is not None else None
        how = "was cancelled" if edge.outcome == JobState.CANCELLED else "failed"
        if root is None:
            why = f": {parent.message}" if parent is not None and parent.message and how == "failed" else ""
            return f"job {edge.parent} {how}, and this one was to run after it{why}"
        return f"{root[0]}; this one was to run after job {edge.parent}, which depended on it"

    async def _supply(self, job_id: str) -> None:
        """Put results into the arguments of a job, and release it."""
        job = self._reader.find(job_id)
        if job is None:
            return
        try:
            arguments = await asyncio.to_thread(self._supplied, job)
        except BadArguments as err:
            self._end(job_id, Failure(FailureCode.BAD_ARGUMENTS, str(err)))
            return
        except OSError as err:
            raise StorageError(f"results for job {job_id}", err) from err
        free = await self._writer.submit(lambda ledger: ledger.supply(job_id, arguments), durable=False)
        if free:
            self._publish(free)

    def _supplied(self, job: JobRow) -> bytes:
        """Return the arguments of `job` as JSON, with the results of other jobs in them. Raises BadArguments, OSError.

        Runs in a thread.
        """
        values: dict[str, JsonValue] = {}

        def value_of(parent: str) -> JsonValue:
            if parent not in values:
                values[parent] = self._value(job, parent)
            return values[parent]

        args, kwargs = (with_results(each, value_of) for each in job.call())
        try:
            self._check(job.task, args, kwargs)
        except BadArguments:
            raise
        except EdgeError as err:  # there is no catalogue yet, or it lacks the kind; the worker checks then
            log.info("the arguments of job %s are not checked here: %s", job.id, err)
        arguments = msgspec.json.encode([args, kwargs])
        if len(arguments) > _MOST_BYTES:
            what = f"with the results in them the arguments have {len(arguments)} bytes"
            raise BadArguments(job.task, f"{what}; at most {_MOST_BYTES} are taken")
        return arguments

    def _value(self, job: JobRow, parent: str) -> JsonValue:
        try:
            result = self._results.read(parent)
        except (TornResult, FileNotFoundError):
            result = None
        if result is None:
            raise BadArguments(job.task, f"the result of job {parent}, which is an argument, has been removed")
        if result.state is not JobState.SUCCEEDED:
            raise BadArguments(job.task, f"the result of job {parent} is an argument, and it {result.state}")
        return result.value

    def _end(self, job_id: str, failure: Failure) -> None:
        log.info("job %s ends without a run: %s", job_id, failure.message)
        try:
            self._orders.fail(job_id, failure)
        except OSError as err:
            raise StorageError("cannot write orders", err) from err
