"""Acknowledgements that may wait for others: the broker syncs its log for each one that comes alone.

A result is durable before its message is acknowledged, so a cut in between brings the message once more, and it finds
its result there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.worker.attempt.delivery import Delivery

#: So many wait at most: this many messages come again when the power goes meanwhile.
MOST = 8
#: The first of them waits no longer than this for others.
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
        """Their results are durable."""
        if not self._done:
            self._since_s = self._now_s()
        self._done += done

    @property
    def due(self) -> bool:
        """True when they have waited long enough, or are enough."""
        return len(self._done) >= MOST or (bool(self._done) and self._now_s() - self._since_s >= WAIT_S)

    def take(self) -> list[Delivery]:
        """All of them, to be acknowledged or forgotten; none is left after it."""
        done, self._done = self._done, []
        return done
