"""Describes the resources that the board has left for further workers, and the states of its workers."""

from __future__ import annotations

import msgspec

from edge.model import PowerState


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Holds everything that limits the number of workers. A value of None is not known, and does not limit it."""

    cores: int
    fixed: int = 1  # workers of other entries that take the same jobs; failing ones do not count
    running: int = 0  # processes of the scaled entry that are ready
    failing: int = 0  # processes of the scaled entry that crash again and again, or do not get ready in time
    held: int = 0  # workers of all these entries whose running job is held because there is too little power
    memory_left_bytes: int | None = None
    watts_left: float | None = None
    core_watts: float = 1.0  # watts of a busy core, used if the watts of a kind have not been learned
    power: PowerState = PowerState.NORMAL
