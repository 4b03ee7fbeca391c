"""What the board has left for further workers: cores, memory and watts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge.config.power import PowerConfig
from edge.model import Reading

#: A battery counts for so much power as it could give for this long.
_LASTS_S = 3600.0


def cores() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that may still be used, by the kernel and by the limit of a container; None where neither tells."""
    found = [each for each in (_available(meminfo), _below_limit(group)) if each is not None]
    return min(found, default=None)


def watts(readings: Sequence[Reading], config: PowerConfig, *, pause_percent: float | None = None) -> float | None:
    """Watts that the board could draw on top of what it draws now; None where that is not known, or from the mains.

    What the sun gives now, and what the battery above the pause threshold could give for an hour, less what is drawn.
    `pause_percent` stands in place of the threshold of `config`.
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
    """What a limit on this control group, that of a container, leaves; None: there is none."""
    try:
        limit = (group / "memory.max").read_text().strip()
        return max(0, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # `max`: no limit
        return None
