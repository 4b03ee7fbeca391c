"""Records of a forecast: the expected power of the panel in each step, with bounds that hold in 8 of 10 cases."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Mean watts of the panel in one step. A tenth of the true values lie below `low`, a tenth above `high`."""

    low: float
    mid: float
    high: float


class Outlook(msgspec.Struct, frozen=True):
    """A forecast in steps of equal length."""

    start: float  # of the first step, in seconds since the epoch
    step_s: float
    steps: tuple[Step, ...]
    days_learned: int = 0  # number of days that the forecast was learned from
    source: str = "own"  # `own`, or `outside` if it has watts of a forecast from outside

    @property
    def end(self) -> float:
        """End of the last step, in seconds since the epoch."""
        return self.start + self.step_s * len(self.steps)
