"""Takes spawned jobs from their files into the ledger, and removes the files when they are no longer needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from itertools import islice

from edge.core.errors import BadJobId, StorageError, UnknownJob, UsageError
from edge.core.layout import Layout
from edge.gateway.background.outbox import Outbox
from edge.ledger.rows import NewJob
from edge.model import SpawnedJobs, is_job_id
from edge.results.spawned import SpawnedFiles, Unreadable, parent_of
from edge.results.store import Results
from edge.schedule.arguments import results_in
from edge.schedule.later import later

log = logging.getLogger(__name__)

_FILES = 8  # read at once and committed together: a file has 256 jobs at most
#: Submitter of a job whose parent came from plain Celery.
_PLAIN = "amqp"


def new_jobs(spawned: SpawnedJobs, *, submitter: str = "") -> list[NewJob]:
    """Return the jobs of a file for the ledger; `submitter` is used when the file names none.

    Raises UsageError where a job says something about waiting that its worker should have refused.
    """
    for job in spawned.jobs:
        if job.own_id and not is_job_id(job.own_id):
            raise UsageError(str(BadJobId(job.own_id)))
    return [
        NewJob(
            id=job.id(spawned.id),
            task=job.task,
            args=job.args,
            kwargs=job.kwargs,
            power=job.power,
            retries=job.retries,
            time_limit_s=job.time_limit_s,
            submitter=spawned.submitter or submitter or _PLAIN,
            fingerprint=job.fingerprint,
            key=job.key,
            child=not job.own_id,
            later=later(job, results=list(results_in([job.args, job.kwargs])), foreign=True),
        )
        for job in spawned.jobs
    ]


class SpawnedIntake:
    """Takes files of spawned jobs. Runs on the gateway's loop; reads in a thread."""

    def __init__(self, layout: Layout, outbox: Outbox) -> None:
        self._files, self._outbox = SpawnedFiles(layout), outbox
        #: Files may hold accepted jobs that the ledger does not have, because the disk refused them.
        self.behind = False

    def all(self) -> set[str]:
        """Names of all files, those that were taken as well. For a thread."""
        return {*self._files.waiting(), *self._files.taken()}

    def waiting(self, parent: str) -> list[str]:
        """Names of the files of the job `parent` that were not taken. For a thread."""
        return [name for name in self._files.waiting() if parent_of(name) == parent]

    async def take(self, names: Iterable[str]) -> None:
        """Put what these files hold into the ledger, durably; a file that cannot be read stays. Raises StorageError.

        A file that is taken again changes nothing, because its jobs get the same ids.
        """
        left = iter(names)
        while chunk := list(islice(left, _FILES)):
            found = await asyncio.to_thread(self._read, chunk)
            try:
                others = await self._outbox.take_spawned([(spawned.id, new_jobs(spawned)) for _, spawned in found])
            except StorageError:
                self.behind = True
                raise
            for job in others:
                log.error("job %s was spawned once more as another one; the first stands", job.id)
            await asyncio.to_thread(self._move, [name for name, _ in found])
        if self.behind:
            self.behind = bool(await asyncio.to_thread(self._files.waiting))

    def _read(self, names: Sequence[str]) -> list[tuple[str, SpawnedJobs]]:
        found = list[tuple[str, SpawnedJobs]]()
        for name in names:
            try:
                spawned = self._files.read(name)
                new_jobs(spawned)
                found.append((name, spawned))
            except FileNotFoundError:
                continue
            except (OSError, Unreadable, UnknownJob, UsageError) as err:
                log.error("spawned jobs cannot be read: %s", err)
        return found

    def _move(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._files.take(name)
            except OSError as err:  # it is taken again at the next start, which changes nothing
                log.warning("%s cannot be moved to those that were taken: %s", name, err)


class OldSpawned:
    """Removes files of spawned jobs after their parent has ended and two copies of the ledger were made.

    The first copy has the jobs. The second one makes sure that a backup in progress has either the file or a ledger
    with its jobs.
    """

    def __init__(self, layout: Layout) -> None:
        self._files, self._results = SpawnedFiles(layout), Results(layout)
        self._ended = frozenset[str]()  # files that were there, with their parent ended, at the copy before

    def forget(self) -> None:
        """Remove files that are no longer needed, after a copy of the ledger. Called in a thread."""
        try:
            now = frozenset(name for name in self._files.taken() if self._results.has(parent_of(name)))
            for name in self._ended & now:
                self._files.forget(name)
        except OSError as err:
            log.warning("old files of spawned jobs cannot be removed: %s", err)
        else:
            self._ended = now
