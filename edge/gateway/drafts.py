"""Turns a submission into a job, or raises the error that says why it cannot become one."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

import msgspec

from edge.catalog.catalogue import TaskInfo
from edge.core.errors import UnknownInput
from edge.gateway.files import Files
from edge.gateway.http.auth import Caller
from edge.gateway.kinds import CatalogueLoader
from edge.ledger.rows import NewJob
from edge.model import InputFile, Locality, Schedule, Submission, derived_job_id, new_job_id
from edge.results.store import Results
from edge.schedule.later import later

_encode = msgspec.json.Encoder(order="deterministic").encode


class Drafts:
    """Makes `NewJob` records for `Appliance.accept`. Methods may be called in a thread."""

    def __init__(self, kinds: CatalogueLoader, files: Files, results: Results) -> None:
        self._kinds, self._files, self._results = kinds, files, results
        self._locality = Locality()

    def check_schedule(self, asked: Schedule, caller: Caller) -> None:
        """Check that this caller may make the job of a schedule. Raises UnknownTask, BadArguments, Forbidden, Busy."""
        catalogue = self._kinds.current
        catalogue.check(asked.task, asked.args, asked.kwargs)
        kind = catalogue.tasks[asked.task]
        caller.may_run(kind.name, kind.scope)
        kind.check_files(asked.files)

    def kind_of(self, submission: Submission, caller: Caller, *, open_values: bool) -> TaskInfo:
        """Check kind, arguments and scope of a submission, and return the kind. Files are not checked.

        May be called in a thread.

        Args:
            submission: the submission to check.
            caller: the client that sent it.
            open_values: allow arguments that stand for results of other jobs, which are not known yet.

        Raises:
            UnknownTask, BadArguments, Forbidden, Busy: as for `checked`.
        """
        catalogue = self._kinds.current
        catalogue.check(submission.task, submission.args, submission.kwargs, open_values=open_values)
        kind = catalogue.tasks[submission.task]
        caller.may_run(kind.name, kind.scope)
        return kind

    def checked(self, submission: Submission, *, key: str, caller: Caller, results: Collection[str] = ()) -> NewJob:
        """Return the job for `submission`. May be called in a thread.

        Args:
            submission: the submission to check.
            key: its idempotency key, or an empty text.
            caller: the client that sent it; the job gets its name as submitter.
            results: ids of the jobs that the arguments refer to for their results.

        Raises:
            UnknownTask: no kind of job has this name.
            BadArguments: the kind does not take these arguments.
            UnknownInput: the submission names a file that is not stored here.
            UsageError: `not_before`, `after` or `unique_key` is invalid, or the stated size of a file is wrong.
            StorageError: the input files cannot be read.
            Forbidden: the kind needs a scope that the caller does not have.
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
            # Computed from the submission, not from the job: if the default of a kind changes, the same submission
            # with the same key must not become a conflict.
            fingerprint=sha256(_encode(submission)).digest(),
            key=key,
            later=later(submission, results=results, foreign=caller.sees_all),
            files=files,
        )

    def _files_of(self, submission: Submission, job_id: str) -> dict[str, InputFile]:
        """Return the files of a submission with name and size. Raises UnknownInput, UsageError, StorageError."""
        try:
            return self._files.filled(submission.files)
        except UnknownInput:
            if not self._results.has(job_id):
                raise
            return submission.files  # a repeated submission: its job has ended, and its files were removed
