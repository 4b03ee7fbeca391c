"""What happened to the earlier deliveries of jobs that have no result yet; a file a job, workers write.

The first delivery of a job writes nothing here: only a redelivery, or a failure that will be retried, is worth a
write to the card.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge.core import durable
from edge.core.layout import Layout
from edge.model import Attempts, check_job_id


class AttemptsStore:
    """The folder `attempts/`."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.attempts

    def read(self, job_id: str) -> Attempts | None:
        """The record of `job_id`, or None; a file that is no record counts as none."""
        try:
            return msgspec.json.decode((self.folder / f"{check_job_id(job_id)}.json").read_bytes(), type=Attempts)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, attempts: Attempts) -> None:
        """Make the record durable; on return it survives a power cut. Raises OSError."""
        durable.make_folder(self.folder)
        durable.replace(self.folder / f"{check_job_id(attempts.id)}.json", msgspec.json.encode(attempts), shared=True)

    def forget(self, job_id: str) -> None:
        """Drop the record of a job that has its result; nothing is lost if a cut brings it back."""
        (self.folder / f"{check_job_id(job_id)}.json").unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        """Every id with a record."""
        if self.folder.is_dir():
            yield from (p.name[:-5] for p in self.folder.iterdir() if p.name.endswith(".json") and p.name[0] != ".")
