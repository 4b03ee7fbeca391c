"""Delays acknowledgements and sends several together, because the broker syncs its log for each single one.

The results are durable already. After a power cut before the acknowledgement the message is delivered again, and the
worker finds the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.worker.attempt.delivery import Delivery

#: Largest number of acknowledgements that wait. After a power cut at most this number of messages is delivered again.
MOST = 8
#: Longest time that the first one waits for others.
WAIT_S = 0.5


class LateAcks:
    """Holds deliveries that are done and not acknowledged yet, oldest first. Belongs to the main thread."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._done: list[Delivery] = []
        self._since_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._done)

    def add(self, done: list[Delivery]) -> None:
        """Add deliveries whose results are durable."""
        if not self._done:
            self._since_s = self._now_s()
        self._done += done

    @property
    def due(self) -> bool:
        """True when `MOST` deliveries wait, or the first one has waited for `WAIT_S`."""
        return len(self._done) >= MOST or (bool(self._done) and self._now_s() - self._since_s >= WAIT_S)

    def take(self) -> list[Delivery]:
        """Remove and return all deliveries. The caller acknowledges them, or drops them after a lost connection."""
        done, self._done = self._done, []
        return done
