"""Computes the times of a cron expression in a time zone, by the rules of Debian's cron.

`cronsim` parses the expression and decides which days match. The times are computed here, because `cronsim` (2.8) steps
by whole hours of real time. It skips minutes if the clock changes by half an hour (Lord Howe), yields times that do not
exist if midnight is skipped (Cuba), and yields times before its start in an hour that occurs twice.

Rules for jumps of the local clock:
- An expression whose minute or hour begins with `*` follows real time. It is due at each minute whose local time
  matches: twice in an hour that occurs twice, never in an hour that is skipped.
- Any other expression has fixed times. A time that is skipped is due at the first minute after the gap. A time that
  occurs twice is due the first time only. Several times that fall on one minute are due once.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from edge.core.errors import UsageError

_LONGEST = 200  # characters; the limit keeps the cost of parsing low
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_ALLOWED = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L (the last day) or LW (the last weekday)",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7 (0 and 7 are Sunday), SUN to SAT, 5L (the last Friday) or 5#2 (the second Friday)",
}
_DAY = 24 * 60  # all times in this module are whole minutes since 1970, in UTC or on the local clock
_EPOCH = date(1970, 1, 1).toordinal()
_START = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time; its zone is kept separately
#: 29 February falls on a given weekday every 28 years, but across the year 2100 only after 40 years.
_HORIZON_YEARS = 50
_STEP = 3 * 60  # minutes; no zone changes its offset twice within this time


class Cron:
    """Computes the times of one expression in a zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Parse the expression. Raises UsageError if it is not valid, or no date ever matches it."""
        self.expression, self.zone = expression, zone
        self.fields = tuple(_fields(expression))
        self._sim = _read(expression, self.fields)
        self._of_day = tuple(sorted(hour * 60 + minute for hour in self._sim.hours for minute in self._sim.minutes))
        self._days: dict[tuple[int, int], tuple[int, ...]] = {}
        #: True if the expression follows real time; False if it has fixed times of the local day.
        self.follows_real_time = self.fields[0].startswith("*") or self.fields[1].startswith("*")
        if not any(self._month(year, month) for year, month in _every_month() if month in self._sim.months):
            raise UsageError(_never(expression))

    def after(self, at: float) -> int | None:
        """Return the first time after `at`, or None if there is none within 50 years. Both are seconds since 1970."""
        found = self._real(int(at // 60) + 1) if self.follows_real_time else self._fixed(int(at // 60))
        return None if found is None else found * 60

    def explain(self) -> str:
        """Return the description of the expression by `cronsim`."""
        return self._sim.explain()

    # ---- fixed times ----

    def _fixed(self, after: int) -> int | None:
        local = after + self._offset(after)
        until = _horizon(local)
        while (found := self._match(local + 1, until)) is not None:
            due = self._instant(found)
            if due > after:
                return due
            local = found  # this time was due already, in the first pass of an hour that occurs twice
        return None

    def _instant(self, local: int) -> int:
        """Return the first minute in UTC of a local time, or the first minute after the gap that skips it."""
        wall = (_START + timedelta(minutes=local)).replace(tzinfo=self.zone)
        before = _minutes(wall.utcoffset())
        due = local - before
        if self._offset(due) == before:
            return due
        # In a gap, `utcoffset` gives the offset from before it, so `due` lies after the change. With `fold=1` it gives
        # the offset from after it, which leads to a time before the change.
        return self._change(local - _minutes(wall.replace(fold=1).utcoffset()), due)

    # ---- real time ----

    def _real(self, first: int) -> int | None:
        """Return the first minute from `first` on whose local time matches, or None if there is none.

        Between two changes of the offset, local time is UTC plus a constant, so the next match can be computed.
        """
        at, until = first, _horizon(first)
        while True:
            offset = self._offset(at)
            local = self._match(at + offset, until)
            if local is None:
                return None
            due = local - offset
            far = due - at > 4 * _DAY
            # If the clock goes back, local times that have passed occur again. No zone goes back by more than a day,
            # so it is enough to look for a change within two days.
            change = self._first_change(at, at + 2 * _DAY if far else due)
            if change is None and far:
                at = due - 3 * _DAY  # no time matches on the days before
                continue
            if change is None:
                return due
            at = change

    def _first_change(self, first: int, last: int) -> int | None:
        """Return the first minute after `first`, up to `last`, whose offset differs from that of `first`, or None."""
        offset, at = self._offset(first), first
        while at < last:
            step = min(at + _STEP, last)
            if self._offset(step) != offset:
                return self._change(at, step)
            at = step
        return None

    def _change(self, before: int, after: int) -> int:
        """Return the first minute with the offset of `after`. `before` must have another offset."""
        offset = self._offset(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                after = middle
            else:
                before = middle
        return after

    def _offset(self, minute: int) -> int:
        """Return the minutes by which the local clock is ahead of UTC."""
        return _minutes(datetime.fromtimestamp(minute * 60, self.zone).utcoffset())

    # ---- the local calendar ----

    def _match(self, local: int, until: int) -> int | None:
        """Return the first local minute from `local` on that matches the calendar, jumps of the clock ignored.

        Return None if there is none before `until` (searched by whole months).
        """
        day, minute = divmod(local, _DAY)
        today = date.fromordinal(day + _EPOCH)
        year, month, first_day = today.year, today.month, today.day
        while True:
            if month in self._sim.months:
                for found in self._month(year, month):
                    if found < first_day:
                        continue
                    at = bisect_left(self._of_day, minute) if found == first_day else 0
                    if at < len(self._of_day):
                        return (date(year, month, found).toordinal() - _EPOCH) * _DAY + self._of_day[at]
            year, month, first_day, minute = year + month // 12, month % 12 + 1, 1, 0
            if (date(year, month, 1).toordinal() - _EPOCH) * _DAY > until:
                return None

    def _month(self, year: int, month: int) -> tuple[int, ...]:
        """Return the days of a month that match. They are the same for all months of equal length and first weekday."""
        key = _, length = calendar.monthrange(year, month)
        days = self._days.get(key)
        if days is None:
            days = tuple(day for day in range(1, length + 1) if self._sim.match_day(date(year, month, day)))
            self._days[key] = days
        return days


def times(schedule: Cron, after: float, count: int) -> Iterator[int]:
    """Yield the next `count` times after `after`, in epoch seconds; fewer if there are no more."""
    at: float | None = after
    for _ in range(count):
        at = schedule.after(at) if at is not None else None
        if at is None:
            return
        yield int(at)


def _fields(expression: str) -> list[str]:
    """Return the five fields of an expression or of a name such as `@daily`. Raises UsageError."""
    shown = _shown(expression)
    if len(expression) > _LONGEST:
        raise UsageError(f"{shown}: {len(expression)} characters; at most {_LONGEST} are taken")
    text = expression.strip().lower()
    if text.startswith("@"):
        if text == "@reboot":
            raise UsageError(f"{shown}: the start of the board is not a time; expected five fields or {_names()}")
        if text not in _NAMED:
            raise UsageError(f"{shown}: expected five fields or {_names()}")
        return _NAMED[text].split()
    fields = [_without_idle_steps(field) for field in expression.split()]
    if len(fields) != len(_FIELDS):
        count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        raise UsageError(f"{shown}: {count}; expected five ({' '.join(_FIELDS)}) or {_names()}")
    return fields


def _read(expression: str, fields: tuple[str, ...]) -> CronSim:
    try:
        return CronSim(" ".join(fields), _START)
    except (CronSimError, AssertionError) as err:
        name = str(err).removeprefix("Bad ")
        if name not in _ALLOWED:
            raise UsageError(f"{_shown(expression)}: {str(err).lower() or 'it cannot be read'}") from err
        value = fields[_FIELDS.index(name)]
        if name == "day-of-month" and _is_valid(*fields[:3], "*", fields[4]):
            raise UsageError(_never(expression)) from err  # such as 30 February
        raise UsageError(
            f"{_shown(expression)}: {name} is {value[:40]!r}; expected * or {_ALLOWED[name]},"
            " ranges as in 1-5, lists as in 1,3 and steps as in */2"
        ) from err


def _without_idle_steps(field: str) -> str:
    """Replace `2-2/1` by `2`. `cronsim` would read it as `2/1`, which means all values from 2 on."""
    return ",".join(re.sub(r"^0*([0-9A-Za-z]+)-0*\1/0*[1-9][0-9]*$", r"\1", part) for part in field.split(","))


def _is_valid(*fields: str) -> bool:
    try:
        CronSim(" ".join(fields), _START)
    except (CronSimError, AssertionError):
        return False
    return True


def _never(expression: str) -> str:
    return f"{_shown(expression)}: no month has such a day; it would never be due"


def _shown(expression: str) -> str:
    return f"cron {expression[:80]!r}"


def _names() -> str:
    return f"one of {', '.join(_NAMED)}"


def _horizon(local: int) -> int:
    return local + _HORIZON_YEARS * 366 * _DAY


def _minutes(offset: timedelta | None) -> int:
    return 0 if offset is None else offset // timedelta(minutes=1)


def _every_month() -> Iterator[tuple[int, int]]:
    """Yield months with each name, length and first weekday. The calendar repeats after 28 years."""
    return ((year, month) for year in range(2000, 2028) for month in range(1, 13))
