"""Reads the times of a schedule. It is the only module that interprets `cron`, `every_s`, `timezone` and `jitter_s`."""

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
    """Holds the times of a schedule, and a description of them in words."""

    def __init__(self, asked: Schedule, *, timezone: str = "") -> None:
        """Read the times of `asked`. Raises UsageError if they are not valid.

        Args:
            asked: the schedule as it was submitted or stored.
            timezone: the zone if `asked` names none; "" for the zone of this machine.
        """
        if (asked.cron is None) == (asked.every_s is None):
            raise UsageError("cron, every_s: give one of them")
        named = asked.timezone or timezone
        # An empty name in `asked` is an error, because somebody wrote it. Only a missing name means the board's zone.
        self.zone: ZoneInfo = zone(named or (board_zone() if asked.timezone is None else ""))
        self.times: Cron | Interval
        if asked.cron is not None:
            self.times = Cron(asked.cron, self.zone)
            self.meaning = words.of_cron(self.times)
        else:
            self.times = Interval(asked.every_s or 1)
            self.meaning = words.of_interval(self.times.every_s)

    def next(self, after: float, count: int) -> list[int]:
        """Return the next `count` times after `after`, in epoch seconds; fewer if there are no more."""
        found, at = list[int](), self.times.after(after)
        while at is not None and len(found) < count:
            found.append(at)
            at = self.times.after(at)
        return found


def rule(asked: Schedule, *, uid: str) -> Rule:
    """Return the rule of `asked` for slots that cannot run in time.

    Args:
        asked: the schedule.
        uid: id of the schedule. It determines the delay within `jitter_s`, so the delay stays the same.
    """
    part = int.from_bytes(sha256(f"jitter\0{uid}".encode()).digest()[:8], "big") / (1 << 64)
    return Rule(asked.missed, asked.within_s, round(part * asked.jitter_s, 3))
