"""Reads and writes the watts that `edge power calibrate` measured: a small file that survives a power cut."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from edge.config import Config
from edge.core import durable, stored

#: Watts of one busy core if neither configured nor calibrated: between those of a Zero 2 W (0.5) and a Pi 5 (1.5).
USUAL_CPU_WATTS = 1.0
_MOST_WATTS = 1000.0


class Calibration(msgspec.Struct, frozen=True):
    """Content of `power/calibration.json`, which `edge power calibrate` writes."""

    idle_watts: float  # of the whole board at rest
    cpu_watts: float  # additional watts of one busy core
    cores: int = 1  # largest number of cores that were kept busy
    at: float = 0.0  # time of the calibration, in seconds since the epoch
    error_percent: float = 0.0  # largest difference between the measured watts and those that these numbers give


def read(path: Path) -> Calibration | None:
    """Return the last calibration, or None if there is none, or the file is damaged or has an impossible number."""
    try:
        found = stored.read(path, Calibration)
    except (OSError, stored.BadContent):
        return None
    numbers = (found.idle_watts, found.cpu_watts)
    return found if all(math.isfinite(each) and 0 <= each <= _MOST_WATTS for each in numbers) else None


def write(path: Path, found: Calibration) -> None:
    """Write the calibration; it is durable on return. Raises OSError."""
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(found))


def watts(config: Config) -> tuple[float, float]:
    """Return (watts of the board at rest, additional watts of a busy core), for estimates.

    The first is 0 if the board was never calibrated. `worker.cpu_watts` overrides the calibration.
    """
    found = read(config.layout.calibration)
    configured, idle = config.worker.cpu_watts, 0.0 if found is None else found.idle_watts
    if configured is not None:
        return idle, configured
    return idle, USUAL_CPU_WATTS if found is None else found.cpu_watts
