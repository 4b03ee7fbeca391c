"""What the panel is expected to give: one step after another, with the bounds that hold in 8 of 10 cases."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Mean watts of the panel in one step: a tenth of all truths lie below `low`, a tenth above `high`."""

    low: float
    mid: float
    high: float


class Outlook(msgspec.Struct, frozen=True):
    """Steps of equal length, the first of which begins at `start` (seconds since the epoch)."""

    start: float
    step_s: float
    steps: tuple[Step, ...]
    days_learned: int = 0  # days that the forecast was learned from
    source: str = "own"  # `own`, or the name of a source outside

    @property
    def end(self) -> float:
        """Where the last step ends."""
        return self.start + self.step_s * len(self.steps)
