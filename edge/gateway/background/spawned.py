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

_FILES = 8  # number of files that share a commit; each has at most 256 jobs
#: Submitter of a job if its parent came through plain Celery.
_PLAIN = "amqp"


def new_jobs(spawned: SpawnedJobs, *, submitter: str = "") -> list[NewJob]:
    """Return the jobs of a file for the ledger. `submitter` is used if the file names no submitter.

    Raises UsageError if a job has a bad id or bad options for waiting, which its worker should have refused.
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
            files=job.files,
            later=later(job, results=list(results_in([job.args, job.kwargs])), foreign=True),
        )
        for job in spawned.jobs
    ]


class SpawnedIntake:
    """Takes the jobs of files into the ledger. Runs on the event loop, and reads the files in a thread."""

    def __init__(self, layout: Layout, outbox: Outbox) -> None:
        self._files, self._outbox = SpawnedFiles(layout), outbox
        #: True while the ledger may lack jobs of these files, because the disk refused to write them.
        self.behind = False

    def all(self) -> set[str]:
        """Return the names of all files, including those that were taken before. Call it in a thread."""
        return {*self._files.waiting(), *self._files.taken()}

    def waiting(self, parent: str) -> list[str]:
        """Return the names of the files of the job `parent` that were not taken yet. Call it in a thread."""
        return [name for name in self._files.waiting() if parent_of(name) == parent]

    async def take(self, names: Iterable[str]) -> None:
        """Put the jobs of these files into the ledger, durably. Raises StorageError.

        A file that cannot be read stays where it is. A file that is taken again changes nothing, because its jobs get
        the same ids.
        """
        left = iter(names)
        while chunk := list(islice(left, _FILES)):
            found = await asyncio.to_thread(self._read, chunk)
            try:
                refused = await self._outbox.take_spawned([(spawned.id, new_jobs(spawned)) for _, spawned in found])
            except StorageError:
                self.behind = True
                raise
            for job in refused:
                log.error("job %s was spawned again with other content; the first one stays valid", job.id)
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
            except OSError as err:  # the next start takes the file again, which changes nothing
                log.warning("spawned/%s cannot be moved to spawned/taken: %s", name, err)


class OldSpawned:
    """Removes files of spawned jobs after their parent has ended and the ledger has been copied twice since.

    The first copy has the jobs. The second copy makes sure that a backup in progress has either the file or a ledger
    with its jobs.
    """

    def __init__(self, layout: Layout) -> None:
        self._files, self._results = SpawnedFiles(layout), Results(layout)
        self._ended = frozenset[str]()  # files whose parents had ended at the previous copy

    def forget(self) -> None:
        """Remove the files that are no longer needed. Called in a thread after each copy of the ledger."""
        try:
            now = frozenset(name for name in self._files.taken() if self._results.has(parent_of(name)))
            for name in self._ended & now:
                self._files.forget(name)
        except OSError as err:
            log.warning("old files of spawned jobs cannot be removed: %s", err)
        else:
            self._ended = now
