"""How many messages a queue hands out ahead of their turn.

Many save the broker and the disk work, for they end together; but whatever is in hand here, no other worker can run. So
one at a time is the rule for jobs that take long or are not known yet, as ever; a queue whose jobs end at once gives
more, and most where nobody else consumes it.
"""

from __future__ import annotations

ONE, FEW, MANY = 1, 4, 64
#: So many short jobs in a row tell that a queue's jobs are short.
_STREAK = 4


class Pace:
    """The prefetch of each queue; kept over all connections. Belongs to the main thread."""

    def __init__(self, *, most: int = MANY) -> None:
        """With `most` 1 no queue ever gives more."""
        self._most = most
        self._streaks: dict[str, int] = {}
        self._shared: set[str] = set()

    def began(self, queue: str, *, short: bool) -> None:
        """A job of `queue` begins, which is known to be short or is not."""
        self._streaks[queue] = self._streaks.get(queue, 0) + 1 if short else 0

    def counted(self, queue: str, consumers: int) -> None:
        """So many consumers has `queue`, this one among them."""
        if consumers > 1:
            self._shared.add(queue)
        else:
            self._shared.discard(queue)

    def is_short(self, queue: str) -> bool:
        """True when the last jobs of `queue` were short."""
        return self._most > ONE and self._streaks.get(queue, 0) >= _STREAK

    def prefetch(self, queue: str) -> int:
        """How many messages of `queue` to ask for."""
        if not self.is_short(queue):
            return ONE
        return min(self._most, FEW if queue in self._shared else MANY)
