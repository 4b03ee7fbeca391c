"""Computes the pause after a failure. It grows with each failure in a row, up to a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait after each failure in a row.

    The record has no state. Each caller counts its own failures, so many jobs and threads can share one record.

    Args:
        first_s: the pause after the first failure.
        most_s: the longest pause, at least `first_s`.
        factor: each pause is the previous pause multiplied by this; at least 1.
    """

    first_s: float
    most_s: float
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 <= self.first_s <= self.most_s < math.inf and 1.0 <= self.factor < math.inf):
            raise ValueError(f"{self!r}: 0 <= first_s <= most_s, and factor >= 1")

    def pause_s(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failures in a row, or 0 if there was no failure."""
        if failures < 1:
            return 0.0
        try:
            return min(self.first_s * self.factor ** (failures - 1), self.most_s)
        except OverflowError:  # very many failures: the broker has been away for weeks
            return self.most_s if self.first_s else 0.0

    def pauses(self) -> Iterator[float]:
        """Yield the pauses after the first, second, third ... failure, without end."""
        return map(self.pause_s, count(1))
