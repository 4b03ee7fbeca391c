"""Levels of power, and the limits of one quantity between them."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Level(IntEnum):
    """The states in the order of how much work they allow."""

    CRITICAL = 0  # nothing; the board goes down
    STOPPED = 1  # nothing
    LOW = 2
    NORMAL = 3
    SURPLUS = 4


class Band(msgspec.Struct, frozen=True):
    """Limits of one quantity: at or below pause it is low, at or above resume it is good, between nothing changes."""

    pause: float
    resume: float
    critical: float | None = None
    surplus: float | None = None
    worse_above: bool = False  # heat: the limits are upper ones

    def levels(self, value: float) -> tuple[Level, Level]:
        """(falls to, rises to): what `value` pulls a better state down to, and lets a worse one up to."""
        sign = -1.0 if self.worse_above else 1.0
        at, pause, resume = sign * value, sign * self.pause, sign * self.resume
        falls, rises = Level.NORMAL, Level.NORMAL
        if self.surplus is not None:
            leave = self.surplus - (self.surplus - self.pause) / 12  # 90 % is left at 85 %
            falls = Level.SURPLUS if at >= leave else Level.NORMAL
            rises = Level.SURPLUS if at >= self.surplus else Level.NORMAL
        if at < resume:
            rises = Level.LOW
        if at <= pause:
            falls = Level.LOW
        if self.critical is not None:
            if at <= self.critical:
                falls = Level.CRITICAL
            if at <= self.critical + (self.pause - self.critical) / 4:  # 10 % is left at 15 %
                rises = Level.CRITICAL
        return falls, rises
