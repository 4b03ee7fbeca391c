"""Computes how many jobs of a lane the broker gets, and which jobs have waited too long.

It does no input or output. Times are monotonic seconds. The broker's queues have no priorities, so no job can overtake
one that is in a queue. Therefore the broker gets only a few more jobs of a lane than the windows of its workers hold.
It gets the next ones when half of these have ended: in groups, because each publish costs a sync.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

#: The pace of a lane is the number of jobs that ended within this time. The broker may have twice that number. When
#: half of them have ended, the gateway sends more, and the other half lasts for this time. So workers never wait.
AHEAD_S = 2.0
#: Largest number of jobs of one lane that the broker has. It is enough at any pace, because the gateway notices results
#: and sends more within a fraction of a second.
MOST = 4096


class Pace:
    """Counts the jobs of a lane that ended within the last `AHEAD_S` seconds."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, int]] = deque()
        self._sum = 0

    def note(self, count: int, *, now: float) -> None:
        """Record that `count` jobs have ended."""
        self._ended.append((now, count))
        self._sum += count

    def lately(self, now: float) -> int:
        """Return the number of jobs that ended within the last `AHEAD_S` seconds."""
        while self._ended and now - self._ended[0][0] > AHEAD_S:
            self._sum -= self._ended.popleft()[1]
        return self._sum


def window(usual: int, ended_lately: int) -> int:
    """Return how many jobs of a lane the broker may have: `usual`, or twice `ended_lately` up to `MOST` if larger."""
    return max(usual, min(MOST, 2 * ended_lately))


def refill(usual: int, ended_lately: int, *, out: int) -> int:
    """Return how many jobs of default priority the broker gets now. It gets none until half of its jobs have ended.

    Args:
        usual: the number that the broker has of a lane with slow jobs.
        ended_lately: number of jobs that ended within the last `AHEAD_S` seconds.
        out: number of jobs that the broker has now.
    """
    size = window(usual, ended_lately)
    return size - out if 2 * out <= size else 0


class Overtaken:
    """Remembers which job was the newest at earlier times, and so knows which jobs have waited too long.

    It compares the order in which jobs were accepted, because the wall clock may jump. Only after a restart of the
    gateway it begins with the times in the ledger, see `recall`.
    """

    _MARKS = 64

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._marks: list[tuple[float, int]] = []

    def ages(self) -> list[float]:
        """Return the ages in seconds, in descending order, for which `recall` takes the newest job."""
        return [self._limit_s * part / self._MARKS for part in range(self._MARKS, -1, -1)]

    def recall(self, newest: Iterable[int], *, now: float) -> None:
        """Begin with what an earlier gateway knew.

        Args:
            newest: for each of `ages`, the number of the newest job that was accepted that long ago; 0 for none.
            now: monotonic seconds.
        """
        self._marks = [(now - age, seq) for age, seq in zip(self.ages(), newest, strict=True) if seq]

    def note(self, newest: int, *, now: float) -> None:
        """Record that `newest` is the number of the newest job now."""
        if not self._marks or now - self._marks[-1][0] >= self._limit_s / self._MARKS:
            self._marks.append((now, newest))
            del self._marks[: max(0, bisect_right(self._marks, (now - self._limit_s, 1 << 62)) - 1)]

    def upto(self, now: float) -> int:
        """Return the largest number of a job that has waited for the limit or longer, or 0 if there is none."""
        found = bisect_right(self._marks, (now - self._limit_s, 1 << 62))
        return self._marks[found - 1][1] if found else 0
