"""Defines the levels of power, and the limits of a quantity that separate them."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Level(IntEnum):
    """The levels of power, in the order of how much work they allow."""

    CRITICAL = 0  # no job starts, and the board shuts down
    STOPPED = 1  # no job starts
    LOW = 2
    NORMAL = 3
    SURPLUS = 4


class Band(msgspec.Struct, frozen=True):
    """The limits of one quantity.

    At or below `pause` power is low. At or above `resume` it is good. Between the two, the level stays as it was.
    """

    pause: float
    resume: float
    critical: float | None = None
    surplus: float | None = None
    worse_above: bool = False  # True for heat: high values are bad, and the limits work the other way round

    def levels(self, value: float) -> tuple[Level, Level]:
        """Return (falls to, rises to): the level to which a better one falls, and to which a worse one may rise."""
        sign = -1.0 if self.worse_above else 1.0
        at, pause, resume = sign * value, sign * self.pause, sign * self.resume
        falls, rises = Level.NORMAL, Level.NORMAL
        if self.surplus is not None:
            leave = self.surplus - (self.surplus - self.pause) / 12  # surplus that begins at 90 % ends at 85 %
            falls = Level.SURPLUS if at >= leave else Level.NORMAL
            rises = Level.SURPLUS if at >= self.surplus else Level.NORMAL
        if at < resume:
            rises = Level.LOW
        if at <= pause:
            falls = Level.LOW
        if self.critical is not None:
            if at <= self.critical:
                falls = Level.CRITICAL
            if at <= self.critical + (self.pause - self.critical) / 4:  # critical that begins at 10 % ends at 15 %
                rises = Level.CRITICAL
        return falls, rises
