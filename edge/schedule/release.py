"""How many jobs of a lane the broker gets at a time, and which of them have waited too long. Pure; times are monotonic.

The broker's queues know no priorities, so what they hold cannot be overtaken. A lane is given few jobs more than its
workers can have in hand, and the next ones when half of these have ended: in groups, because each publish costs a sync.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

#: Jobs that ended within so many seconds are counted. Twice as many may be out: of fast jobs half of them, after which
#: the gateway refills, last for this time, so workers never wait for it.
AHEAD_S = 2.0
#: Most jobs out in one lane, at any speed. A gateway notices results and answers within a fraction of a second.
MOST = 4096


class Pace:
    """How many jobs of a lane ended lately."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, int]] = deque()
        self._sum = 0

    def note(self, count: int, *, now: float) -> None:
        """`count` jobs have ended."""
        self._ended.append((now, count))
        self._sum += count

    def lately(self, now: float) -> int:
        """How many ended in the last seconds."""
        while self._ended and now - self._ended[0][0] > AHEAD_S:
            self._sum -= self._ended.popleft()[1]
        return self._sum


def window(usual: int, ended_lately: int) -> int:
    """Return how many jobs of a lane may be out: `usual`, or twice `ended_lately` up to `MOST` if that is more."""
    return max(usual, min(MOST, 2 * ended_lately))


def refill(usual: int, ended_lately: int, *, out: int) -> int:
    """Return how many jobs of usual priority go out now: none before half of those that are out have ended."""
    size = window(usual, ended_lately)
    return size - out if 2 * out <= size else 0


class Overtaken:
    """Remembers which job was the newest at earlier times, to tell which ones have waited too long.

    The order of acceptance is compared and no wall clock, which may jump. A restart begins anew.
    """

    _MARKS = 64

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._marks: list[tuple[float, int]] = []

    def note(self, newest: int, *, now: float) -> None:
        """`newest` is the number of the newest job now."""
        if not self._marks or now - self._marks[-1][0] >= self._limit_s / self._MARKS:
            self._marks.append((now, newest))
            del self._marks[: max(0, bisect_right(self._marks, (now - self._limit_s, 1 << 62)) - 1)]

    def upto(self, now: float) -> int:
        """Jobs up to this number have waited for the limit, or longer; 0: none."""
        found = bisect_right(self._marks, (now - self._limit_s, 1 << 62))
        return self._marks[found - 1][1] if found else 0
