"""What the board has left for further workers, and what those that it has do."""

from __future__ import annotations

import msgspec

from edge.model import PowerState


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds the number of workers. A value of None is not known, and bounds nothing."""

    cores: int
    fixed: int = 1  # workers of other entries that take the same jobs; one that crashes again and again does not count
    running: int = 0  # processes of the scaled entry that are ready
    failing: int = 0  # of the scaled entry: those that crash again and again
    held: int = 0  # of all these workers: those whose job has begun and does not go on for want of power
    memory_left_bytes: int | None = None
    watts_left: float | None = None
    core_watts: float = 1.0  # of a busy core, where the watts of a kind have not been learned
    power: PowerState = PowerState.NORMAL
