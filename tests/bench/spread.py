"""Summarises many timings as percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum in milliseconds."""
    return {
        "p50_ms": round(percentile(seconds, 50) * 1e3, 2),
        "p99_ms": round(percentile(seconds, 99) * 1e3, 2),
        "max_ms": round(max(seconds) * 1e3, 2),
    }
