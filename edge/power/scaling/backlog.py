"""What there is to do: a row for each kind of job that has not ended."""

from __future__ import annotations

import msgspec

from edge.config.scaling import ScaleConfig
from edge.model import Power


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
