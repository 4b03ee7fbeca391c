"""Sums the time and energy of the jobs that have ended since the start of the gateway, for its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edge.model import Metering, Result


@dataclass(frozen=True)
class Receipts:
    """Holds the sums of the energy receipts. Measured and estimated joules are never added to each other."""

    joules: Mapping[Metering, float] = field(default_factory=lambda: MappingProxyType(dict.fromkeys(Metering, 0.0)))
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    held_s: float = 0.0
    results: int = 0

    def plus(self, results: Iterable[Result]) -> Receipts:
        """Return these sums plus further results. A result without a receipt only counts, because no body ran."""
        joules, seconds, cpu_seconds, held_s = dict(self.joules), self.seconds, self.cpu_seconds, self.held_s
        count = self.results
        for result in results:
            count += 1
            if (receipt := result.energy) is not None:
                joules[receipt.metering] += receipt.joules
                seconds += receipt.seconds
                cpu_seconds += receipt.cpu_seconds
                held_s += receipt.held_s
        return Receipts(MappingProxyType(joules), seconds, cpu_seconds, held_s, count)
