"""Decides on the prefetch of each queue: how many messages the broker delivers ahead.

Many messages in hand save work for broker and disk, because their jobs become durable and are acknowledged together.
But no other worker can run them. So a queue delivers one message at a time while its jobs take long, or their duration
is not known yet. A queue of short jobs delivers a few, and many if this worker is its only consumer.
"""

from __future__ import annotations

ONE, FEW, MANY = 1, 4, 64
#: After this number of short jobs in a row a queue counts as a queue of short jobs.
_STREAK = 4


class Pace:
    """Knows the prefetch of each queue, over all connections. Belongs to the main thread."""

    def __init__(self, *, most: int = MANY, steady: int | None = None) -> None:
        """`most` is the largest prefetch of any queue. `steady`, if set, is the fixed prefetch of all queues."""
        self._most = most
        self.steady = steady
        self._streaks: dict[str, int] = {}
        self._shared: set[str] = set()

    def began(self, queue: str, *, short: bool) -> None:
        """Note that a job of `queue` begins. `short` tells that jobs of its kind are known to be short."""
        self._streaks[queue] = self._streaks.get(queue, 0) + 1 if short else 0

    def counted(self, queue: str, consumers: int) -> None:
        """Note how many consumers `queue` has, this worker included."""
        if consumers > 1:
            self._shared.add(queue)
        else:
            self._shared.discard(queue)

    def is_short(self, queue: str) -> bool:
        """Return True if the last jobs of `queue` were short."""
        return self._most > ONE and self._streaks.get(queue, 0) >= _STREAK

    def prefetch(self, queue: str) -> int:
        """Return the prefetch for `queue`."""
        if self.steady is not None:
            return self.steady
        if not self.is_short(queue):
            return ONE
        return min(self._most, FEW if queue in self._shared else MANY)
