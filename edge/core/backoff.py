"""The pause between tries that fail: it grows with each failure in a row, up to a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait after each failure in a row.

    A record without state: callers count their failures, so one record serves many jobs, parts and threads.

    Args:
        first_s: the pause after the first failure.
        most_s: the longest pause, at least `first_s`.
        factor: each pause is this many times the one before it; at least 1.
    """

    first_s: float
    most_s: float
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 <= self.first_s <= self.most_s < math.inf and 1.0 <= self.factor < math.inf):
            raise ValueError(f"{self!r}: 0 <= first_s <= most_s, and factor >= 1")

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after `failures` failures in a row, counted from 1; before the first there is no wait."""
        if failures < 1:
            return 0.0
        try:
            return min(self.first_s * self.factor ** (failures - 1), self.most_s)
        except OverflowError:  # a broker that is away for weeks
            return self.most_s if self.first_s else 0.0

    def pauses(self) -> Iterator[float]:
        """The pauses after the first, second, third ... failure, without end."""
        return map(self.pause_s, count(1))
