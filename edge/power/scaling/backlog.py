"""What there is to do: a row for each kind of job that has not ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from edge.config.scaling import ScaleConfig
from edge.config.workers import WorkerEntry
from edge.model import OpenJobs, Power


def taken(entry: WorkerEntry, rows: Iterable[OpenJobs]) -> Iterator[OpenJobs]:
    """The open jobs that the workers of `entry` take."""
    for row in rows:
        mine = row.owner == entry.name if entry.kinds or row.owner else row.pool is entry.takes
        if mine and row.power in entry.classes:
            yield row


def shared(entry: WorkerEntry, other: WorkerEntry) -> bool:
    """True when both take some of the same jobs."""
    if entry.kinds or other.kinds:
        return entry.name == other.name
    return entry.takes is other.takes and not set(entry.classes).isdisjoint(other.classes)


class KindBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """The open jobs of one kind and power class, with what such a job is known to cost."""

    kind: str
    power: Power = Power.NORMAL
    queued: int = 0  # in a queue, in the hand of a worker, or due to be tried again
    running: int = 0
    seconds: float | None = None  # of one job; None where it has not been learned
    peak_bytes: int | None = None  # of a worker that runs it
    watts: float | None = None  # of a worker that runs it

    @property
    def jobs(self) -> int:
        """Jobs that have not ended, those that run among them: a busy worker is needed, too."""
        return self.queued + self.running

    def work_s(self, rule: ScaleConfig) -> float:
        """Seconds of work of one body at a time."""
        return self.jobs * (rule.guess_s if self.seconds is None else self.seconds)
