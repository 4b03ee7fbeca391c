"""The due minutes of some years, by a look at each minute in UTC: the rules of Debian's cron, and no arithmetic.

A clock on the wall is read at each minute. It goes on by one, stands back, or leaps. An expression that follows real
time is due whenever the clock shows a time that it names. Any other one is due when the clock comes, for the first
time, to a time that it names, or past it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tests.schedules.expressions import Expression

_DAY, _HOUR = 24 * 60, 60
_MARGIN = 3 * _DAY  # what the clock on the wall may be ahead or behind

Minutes = NDArray[np.int32]
Flags = NDArray[np.bool_]
#: Where the offset of a zone changes: (minute in UTC, offset from then on). The first one is that of the start.
Changes = tuple[tuple[int, int], ...]


def minute_of(year: int) -> int:
    """The first minute of a year in UTC, since 1970."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60


def changes(zone: ZoneInfo, first: int, last: int) -> Changes:
    """How far the clock is ahead of UTC, from `first` to before `last`. Each minute is read in an hour of a change."""

    def offset(minute: int) -> int:
        shift = datetime.fromtimestamp(minute * 60, zone).utcoffset()
        assert shift is not None
        return int(shift.total_seconds() // 60)

    found = [(first, offset(first))]
    for hour in range(first, last, _HOUR):
        end = min(hour + _HOUR, last)
        if offset(end) != found[-1][1]:
            for minute in range(hour + 1, end + 1):
                if (now := offset(minute)) != found[-1][1] and minute < last:
                    found.append((minute, now))
    return tuple(found)


class WallClock:
    """What the clock on the wall shows at each minute in UTC, as an index into what `named` returns."""

    def __init__(self, shifts: Changes, first: int, last: int) -> None:
        starts = [minute for minute, _ in shifts] + [last]
        offset = np.repeat([shift for _, shift in shifts], np.diff(starts)).astype(np.int32)
        self.shown: Minutes = np.arange(last - first, dtype=np.int32) + offset + np.int32(_MARGIN)
        #: The latest time that it has shown so far.
        self.reached: Minutes = np.maximum.accumulate(self.shown)
        steps = np.diff(self.reached, prepend=self.reached[0] - 1)
        self.goes_on: Flags = steps == 1
        self.leaps = [int(at) for at in np.flatnonzero(steps > 1)]


def named(expression: Expression, first: int, last: int) -> Flags:
    """For each local minute from `first - _MARGIN` to `last + _MARGIN`, whether the expression names it."""
    start, end = first - _MARGIN, last + _MARGIN
    assert start % _DAY == 0
    of_day = np.array(
        [
            hour in expression.hour.numbers and minute in expression.minute.numbers
            for hour in range(24)
            for minute in range(60)
        ]
    )
    epoch = date(1970, 1, 1).toordinal()
    days = np.array([expression.names(date.fromordinal(epoch + day)) for day in range(start // _DAY, -(-end // _DAY))])
    found: Flags = np.repeat(days, _DAY) & np.tile(of_day, len(days))
    return found


def due(expression: Expression, names: Flags, clock: WallClock) -> NDArray[np.int64]:
    """Indices of the minutes in UTC at which the expression is due; `names` is what `named` returns."""
    if expression.follows_real_time:
        return np.flatnonzero(names[clock.shown])
    found = names[clock.reached] & clock.goes_on
    for at in clock.leaps:
        found[at] = any(names[minute] for minute in range(clock.reached[at - 1] + 1, clock.reached[at] + 1))
    return np.flatnonzero(found)
