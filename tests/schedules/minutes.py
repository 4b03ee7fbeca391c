"""Finds the due minutes of some years by checking each minute in UTC with the rules of Debian's cron.

The local clock is read at each minute. It advances by one minute, falls back, or leaps forward. An expression that
follows real time is due whenever the clock shows a matching time. Any other expression is due when the clock reaches or
passes a matching time for the first time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tests.schedules.expressions import Expression

_DAY, _HOUR = 24 * 60, 60
_MARGIN = 3 * _DAY  # more than the local clock can be ahead or behind

Minutes = NDArray[np.int32]
Flags = NDArray[np.bool_]
#: The changes of a zone's offset: (minute in UTC, offset in minutes from then on). The first one is at the start.
Changes = tuple[tuple[int, int], ...]


def minute_of(year: int) -> int:
    """Return the first minute of a year in UTC, counted from 1970."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60


def changes(zone: ZoneInfo, first: int, last: int) -> Changes:
    """Return the offsets from UTC from `first` to before `last`; in an hour with a change each minute is read."""

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
    """The local time at each minute in UTC, as an index into the array that `named` returns."""

    def __init__(self, shifts: Changes, first: int, last: int) -> None:
        starts = [minute for minute, _ in shifts] + [last]
        offset = np.repeat([shift for _, shift in shifts], np.diff(starts)).astype(np.int32)
        shown: Minutes = np.arange(last - first, dtype=np.int32) + offset + np.int32(_MARGIN)
        #: The times shown between two changes. There is no jump between them, so an array can be sliced by them.
        self._spans = [slice(int(shown[at - first]), int(shown[end - 1 - first]) + 1) for at, end in pairwise(starts)]
        #: The latest time that the clock has shown so far.
        self.reached: Minutes = np.maximum.accumulate(shown)
        steps = np.diff(self.reached, prepend=self.reached[0] - 1)
        self.goes_on: Flags = steps == 1
        self.leaps = [int(at) for at in np.flatnonzero(steps > 1)]

    def read(self, names: Flags) -> Flags:
        """Return the value in `names` of the time that the clock shows, for each minute in UTC."""
        return np.concatenate([names[span] for span in self._spans])


def named(expression: Expression, first: int, last: int) -> Flags:
    """Return for each local minute from `first - _MARGIN` to `last + _MARGIN` if the expression matches it."""
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
    """Return the indices of the minutes in UTC at which the expression is due; `names` is the result of `named`."""
    found = clock.read(names)
    if expression.follows_real_time:
        return np.flatnonzero(found)
    found &= clock.goes_on  # where it goes on, the clock shows the latest time so far
    for at in clock.leaps:
        found[at] = any(names[minute] for minute in range(clock.reached[at - 1] + 1, clock.reached[at] + 1))
    return np.flatnonzero(found)
