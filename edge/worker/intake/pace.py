"""How many messages a queue hands out ahead of their turn.

Many messages at a time save the broker and the disk work, because their jobs become durable and are acknowledged
together. But no other worker can run what is in hand here. So a queue hands out one message at a time while its jobs
take long, or while nobody knows yet how long they take. A queue of short jobs hands out a few, and many if this worker
is its only consumer.
"""

from __future__ import annotations

ONE, FEW, MANY = 1, 4, 64
#: A queue whose last jobs, at least this many, were all short counts as a queue of short jobs.
_STREAK = 4


class Pace:
    """The prefetch of each queue; kept over all connections. Belongs to the main thread."""

    def __init__(self, *, most: int = MANY) -> None:
        """With `most` 1 no queue ever gives more."""
        self._most = most
        self._streaks: dict[str, int] = {}
        self._shared: set[str] = set()

    def began(self, queue: str, *, short: bool) -> None:
        """A job of `queue` begins; `short` tells whether jobs of its kind end at once."""
        self._streaks[queue] = self._streaks.get(queue, 0) + 1 if short else 0

    def counted(self, queue: str, consumers: int) -> None:
        """The broker says that `queue` has this many consumers; this worker is one of them."""
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
