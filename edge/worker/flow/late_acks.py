"""Acknowledgements that wait for more, because the broker syncs its log for each one that comes alone.

The results are durable already. After a power cut before the acknowledgement the message is delivered again, and the
worker finds the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.worker.attempt.delivery import Delivery

#: Most acknowledgements that wait; as many messages are delivered again after a power cut.
MOST = 8
#: Longest time that the first one waits for others.
WAIT_S = 0.5


class LateAcks:
    """Deliveries that are done and not acknowledged yet, oldest first. Belongs to the main thread."""

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
        """True when they are many enough, or have waited long enough."""
        return len(self._done) >= MOST or (bool(self._done) and self._now_s() - self._since_s >= WAIT_S)

    def take(self) -> list[Delivery]:
        """Remove and return all, to be acknowledged or forgotten."""
        done, self._done = self._done, []
        return done
