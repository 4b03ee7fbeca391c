"""What the board learned of its own watts by `edge power calibrate`: a small file that survives a power cut."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from edge.config import Config
from edge.core import durable

#: Default watts of one busy core, without configuration and calibration: between a Zero 2 W (0.5) and a Pi 5 (1.5).
USUAL_CPU_WATTS = 1.0
_MOST_WATTS = 1000.0


class Calibration(msgspec.Struct, frozen=True):
    """`power/calibration.json`: written by `edge power calibrate`."""

    idle_watts: float  # of the whole board at rest
    cpu_watts: float  # what one busy core draws more than an idle one
    cores: int = 1  # that were loaded
    at: float = 0.0  # seconds since the epoch
    error_percent: float = 0.0  # largest difference between what was measured and these two numbers


def read(path: Path) -> Calibration | None:
    """The last calibration; None where there is none that can be believed."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    numbers = (found.idle_watts, found.cpu_watts)
    return found if all(math.isfinite(each) and 0 <= each <= _MOST_WATTS for each in numbers) else None


def write(path: Path, found: Calibration) -> None:
    """Keep it; durable on return. Raises OSError."""
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(found))


def watts(config: Config) -> tuple[float, float]:
    """(what the board draws at rest, what a busy core draws more), for estimates; the first is 0 where nobody knows.

    `worker.cpu_watts` comes before what was learned.
    """
    found = read(config.layout.calibration)
    given, idle = config.worker.cpu_watts, 0.0 if found is None else found.idle_watts
    if given is not None:
        return idle, given
    return idle, USUAL_CPU_WATTS if found is None else found.cpu_watts
