"""Describes the open jobs of an entry of `workers:`, with a row for each kind and power class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from edge.config.scaling import ScaleConfig
from edge.config.workers import WorkerEntry
from edge.model import OpenJobs, Power


def taken(entry: WorkerEntry, rows: Iterable[OpenJobs]) -> Iterator[OpenJobs]:
    """Yield the open jobs that the workers of `entry` take."""
    for row in rows:
        matches = row.owner == entry.name if entry.kinds or row.owner else row.pool is entry.takes
        if matches and row.power in entry.classes:
            yield row


def shared(entry: WorkerEntry, other: WorkerEntry) -> bool:
    """Return True if both entries take some of the same jobs."""
    if entry.kinds or other.kinds:
        return entry.name == other.name
    return entry.takes is other.takes and not set(entry.classes).isdisjoint(other.classes)


class KindBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """The open jobs of one kind and power class, with the learned costs of such a job. None: not learned yet."""

    kind: str
    power: Power = Power.NORMAL
    queued: int = 0  # jobs in a queue, fetched by a worker, or due for another attempt
    running: int = 0
    seconds: float | None = None  # time that one job takes
    peak_bytes: int | None = None  # memory of a worker that runs the job
    watts: float | None = None  # power that a worker draws while it runs the job

    @property
    def jobs(self) -> int:
        """Number of jobs that have not ended. Running jobs count too, because their workers are needed."""
        return self.queued + self.running

    def work_s(self, rule: ScaleConfig) -> float:
        """Return the seconds of work that all jobs of this row take, one after another."""
        return self.jobs * (rule.guess_s if self.seconds is None else self.seconds)
