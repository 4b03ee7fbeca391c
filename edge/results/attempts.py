"""Stores records of the earlier attempts of jobs without a result: one file for each job, written by workers.

The first delivery of a job writes nothing here. Only a redelivery, or a failure with retries left, costs a write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from edge.core import durable, stored
from edge.core.layout import Layout
from edge.model import Attempts, check_job_id


class AttemptsStore:
    """The folder `attempts/`. Methods raise OSError, and BadJobId for a bad id. Any thread may call them."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.attempts
        self._folder = str(layout.attempts)

    def read(self, job_id: str) -> Attempts | None:
        """Return the record of `job_id`, or None if it does not exist or cannot be decoded."""
        try:
            # Almost no job has a record, and every job looks for it. A `Path` would triple the cost of that look.
            fd = os.open(f"{self._folder}/{check_job_id(job_id)}.json", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file, suppress(stored.BadContent):
            return stored.decoded(file.read(), Attempts)
        return None

    def write(self, attempts: Attempts) -> None:
        """Write the record. On return it survives a power cut. Raises OSError."""
        durable.make_folder(self.folder)
        durable.replace(self.folder / f"{check_job_id(attempts.id)}.json", msgspec.json.encode(attempts), shared=True)

    def forget(self, job_id: str) -> None:
        """Remove the record of a job with a result. Not synced: a record that a power cut brings back is harmless."""
        (self.folder / f"{check_job_id(job_id)}.json").unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        """Yield every id with a record."""
        if self.folder.is_dir():
            yield from (p.name[:-5] for p in self.folder.iterdir() if p.name.endswith(".json") and p.name[0] != ".")
