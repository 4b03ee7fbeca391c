"""Compares the times of `edge.schedule.cron` with those of `minutes`, for every zone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from edge.schedule.cron import Cron
from tests.schedules.expressions import Expression, expressions
from tests.schedules.minutes import Changes, WallClock, changes, due, minute_of, named

_AT_ONCE = 40  # expressions whose local minutes are in memory at once: 5 MB each
_WHOLE = 4000  # if an expression has fewer times, all of them are compared
_AROUND = 200  # every time is compared in this many minutes before and after each change of the clock
_SAMPLES = 200  # number of random moments at which the next time is compared


@dataclass(frozen=True)
class Difference:
    """A time that differs from the result of the search by minutes; None means no time within the years."""

    zone: str
    expression: str
    after: int
    found: int | None
    expected: int | None


#: The changes of a clock, with the names of the zones that have this clock in these years.
Clock = tuple[Changes, list[str]]


def clocks(found: Iterable[tuple[str, Changes]]) -> list[Clock]:
    """Group the zones by the changes of their clocks; many zones have the same clock, which is searched once."""
    names = dict[Changes, list[str]]()
    for name, shifts in found:
        names.setdefault(shifts, []).append(name)
    return list(names.items())


def read(names: Sequence[str], *, year: int, years: int) -> list[tuple[str, Changes]]:
    """Return the changes of the clock of each of these zones."""
    return [(name, changes(ZoneInfo(name), minute_of(year), minute_of(year + years))) for name in names]


def compare(every: Sequence[Clock], *, seed: int, count: int, year: int, years: int) -> tuple[list[Difference], int]:
    """Return every difference, and how many times were compared; the same seed gives the same expressions."""
    first, last = minute_of(year), minute_of(year + years)
    found, compared = list[Difference](), 0
    numbered = list(enumerate(expressions(seed, count)))
    for some in (numbered[at : at + _AT_ONCE] for at in range(0, count, _AT_ONCE)):
        known = [(number, one, named(one, first, last)) for number, one in some]
        for shifts, zones in every:
            clock = WallClock(shifts, first, last)
            for number, one, names in known:
                # Take the zones that have this clock in turn, so that all are used over the expressions.
                search = _Search(one, zones[number % len(zones)], first, last, shifts)
                search.look(due(one, names, clock) + first, random.Random(f"{seed} {number} {zones[0]}"))
                found += search.differences
                compared += search.compared
    return found, compared


class _Search:
    """Compares the times of one expression in one zone."""

    def __init__(self, expression: Expression, zone: str, first: int, last: int, shifts: Changes) -> None:
        self._cron, self._zone, self._first, self._last = Cron(expression.text, ZoneInfo(zone)), zone, first, last
        self._changes = [minute for minute, _ in shifts[1:]]
        self.differences, self.compared = list[Difference](), 0

    def look(self, expected: NDArray[np.int64], chance: random.Random) -> None:
        """Compare all times of an expression that has few, else those around the changes and some others."""
        for start, end in self._spans(len(expected), chance):
            after, at = start, int(np.searchsorted(expected, start, side="right"))
            while True:
                right = int(expected[at]) if at < len(expected) else None
                at_s = self._cron.after(after * 60)
                found = None if at_s is None or at_s >= self._last * 60 else at_s // 60
                self.compared += 1
                if found != right:
                    self.differences.append(Difference(self._zone, self._cron.expression, after, found, right))
                    return
                if right is None or right >= end:
                    break
                after, at = right, at + 1

    def _spans(self, times: int, chance: random.Random) -> Iterator[tuple[int, int]]:
        """Yield the spans in which all times are compared; in a span of no length only the next time is compared."""
        if times < _WHOLE:
            yield self._first, self._last
        else:
            for change in self._changes:
                yield max(self._first, change - _AROUND), change + _AROUND
        for _ in range(_SAMPLES if times >= _WHOLE else _SAMPLES // 10):
            at = chance.randrange(self._first, self._last - 1)
            yield at, at
        for change in self._changes:  # a start may lie just before a gap, or in an hour that comes twice
            at = max(self._first, change + chance.randint(-90, 90))
            yield at, at
