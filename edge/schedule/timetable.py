"""The times of a schedule: the one place that reads `cron`, `every_s`, `timezone` and `jitter_s`."""

from __future__ import annotations

from hashlib import sha256
from zoneinfo import ZoneInfo

from edge.core.errors import UsageError
from edge.model import Schedule
from edge.schedule import words
from edge.schedule.cron import Cron
from edge.schedule.slots import Interval, Rule
from edge.schedule.zone import board_zone, zone


class Timetable:
    """The times of a schedule, and their meaning in words. Raises UsageError where they cannot be read."""

    def __init__(self, asked: Schedule, *, timezone: str = "") -> None:
        """`timezone` is used where `asked` names none; empty: that of this machine."""
        if (asked.cron is None) == (asked.every_s is None):
            raise UsageError("cron, every_s: give one of them")
        named = asked.timezone or timezone
        # An empty name was written by somebody, and is no zone; only without any it is the board's.
        self.zone: ZoneInfo = zone(named or (board_zone() if asked.timezone is None else ""))
        self.times: Cron | Interval
        if asked.cron is not None:
            self.times = Cron(asked.cron, self.zone)
            self.meaning = words.of_cron(self.times)
        else:
            self.times = Interval(asked.every_s or 1)
            self.meaning = words.of_interval(self.times.every_s)

    def next(self, after: float, count: int) -> list[int]:
        """The next `count` times; fewer when there are no more."""
        found, at = list[int](), self.times.after(after)
        while at is not None and len(found) < count:
            found.append(at)
            at = self.times.after(at)
        return found


def rule(asked: Schedule, *, uid: str) -> Rule:
    """What `asked` says about slots that cannot run in time; `uid` chooses the part of the jitter."""
    part = int.from_bytes(sha256(f"jitter\0{uid}".encode()).digest()[:8], "big") / (1 << 64)
    return Rule(asked.missed, asked.within_s, round(part * asked.jitter_s, 3))
