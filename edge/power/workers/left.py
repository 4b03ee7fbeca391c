"""Measures what the board has left for more workers: cores, memory and watts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge.config.power import PowerConfig
from edge.model import Reading

#: The stored energy counts as the power that the battery could deliver evenly for this time.
_LASTS_S = 3600.0


def cores() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes of memory that may still be used, or None if they are not known.

    Args:
        meminfo: the kernel's report of the available memory.
        group: the control group whose limit applies too, such as that of a container.
    """
    found = [each for each in (_available(meminfo), _below_limit(group)) if each is not None]
    return min(found, default=None)


def watts(readings: Sequence[Reading], config: PowerConfig, *, pause_percent: float | None = None) -> float | None:
    """Return the watts that the board could draw in addition to its present draw.

    These are the watts of the panels now, plus the watts that the battery could deliver for an hour until it reaches
    the pause threshold, minus the watts that the board draws.

    Args:
        readings: the current readings.
        config: the section `power` of `edge.yaml`.
        pause_percent: the pause threshold to use in place of the configured one.

    Returns:
        None if this is not known, or while there is a supply from outside.
    """
    values = {reading.what: reading.value for reading in readings if reading.value is not None}
    draws, sun, charge = values.get("watts"), values.get("solar_watts"), values.get("charge")
    stored = None
    if charge is not None and config.battery_wh is not None:
        pause = config.thresholds.pause_percent if pause_percent is None else pause_percent
        left = max(0.0, charge - pause) / 100
        stored = left * config.battery_wh * 3600 / _LASTS_S
    if values.get("supply") or draws is None or (sun is None and stored is None):
        return None
    return (sun or 0.0) + (stored or 0.0) - draws


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _below_limit(group: Path) -> int | None:
    """Return the bytes that the memory limit of the control group leaves, or None if it has no limit."""
    try:
        limit = (group / "memory.max").read_text().strip()
        return max(0, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # ValueError: the text `max`, which means no limit
        return None
