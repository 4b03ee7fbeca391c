"""Stores results that nodes upload, until a worker of the head publishes them.

The gateway serves the network and may not write results, so it stores an upload in a separate folder. A worker copies,
checks and publishes it, and only then the node gets its answer. Until then the node keeps the job's message, so nothing
here must survive a power cut.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.errors import TornResult
from edge.core.layout import Layout
from edge.model import Result, check_job_id, is_job_id
from edge.results.staging import Staging, check_artifact_name
from edge.results.store import Results


class Uploads:
    """The folder `uploads/`: `ID.ATTEMPT/` with the files, then `ID.ATTEMPT.json`. Methods raise OSError."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.uploads

    def clear(self) -> None:
        """Remove all uploads. Their nodes send them again."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        for path in self._root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def folder(self, job_id: str, attempt: str) -> Path:
        """Return the folder for the files of this attempt, and make it if needed."""
        folder = self._root / f"{check_job_id(job_id)}.{attempt}"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder

    def lay(self, result: Result, attempt: str) -> None:
        """Write the JSON of a result atomically, after its files."""
        durable.replace_volatile(self._json(result.id, attempt), msgspec.json.encode(result))

    def drop(self, job_id: str, attempt: str) -> None:
        """Remove an upload that was published, or that its node will send again."""
        self._json(job_id, attempt).unlink(missing_ok=True)
        shutil.rmtree(self._root / f"{check_job_id(job_id)}.{attempt}", ignore_errors=True)

    def tidy(self, has_ended: Callable[[str], bool]) -> None:
        """Remove uploads of jobs that have ended: the node lost its power, and another board ran the job."""
        for path in list(self._root.iterdir()):
            job_id, _, attempt = path.name.removesuffix(".json").rpartition(".")
            if is_job_id(job_id) and has_ended(job_id):
                self.drop(job_id, attempt)

    def publish(self, job_id: str, results: Results) -> None:
        """Publish the uploads for `job_id`; the first one stands. A worker calls it.

        Raises:
            OSError: the disk refuses a read or a write.
            TornResult: a file is damaged.
        """
        for path in sorted(self._root.glob(f"{check_job_id(job_id)}.????????.json")):
            try:
                result = stored.read(path, Result)
            except stored.BadContent as err:
                raise TornResult(path, str(err)) from err
            staging = results.stage(job_id)
            try:
                _copy(path, result, staging)
            except BaseException:
                staging.discard()
                raise
            try:
                results.publish(msgspec.structs.replace(result, files=(), folder=""), staging)
            except BaseException:
                if not results.has(job_id):  # otherwise this result may be published and not durable yet
                    staging.discard()
                raise

    def _json(self, job_id: str, attempt: str) -> Path:
        return self._root / f"{check_job_id(job_id)}.{attempt}.json"


def _copy(path: Path, result: Result, staging: Staging) -> None:
    """Copy the files of the upload `path` and check each. Raises OSError, TornResult."""
    for artifact in result.files:
        copy = staging.file(check_artifact_name(artifact.name))
        shutil.copyfile(path.with_suffix("") / artifact.name, copy)
        with copy.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != artifact.sha256:
                raise TornResult(path, f"file {artifact.name!r} does not match its SHA-256")
