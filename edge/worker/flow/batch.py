"""Attempts that have ended and become durable together, and when that is due."""

from __future__ import annotations

import time

from edge.worker.attempt.attempt import Attempt

#: Larger batches save little more. All bodies of a batch run again if the power fails before it is durable.
MOST = 32
MOST_BYTES = 256 << 10
#: The first of them waits no longer than this for the others.
WAIT_S = 0.02


class Batch:
    """Ended attempts in the order of their end. Belongs to the main thread."""

    def __init__(self, *, most: int = MOST) -> None:
        """With `most` 1 each attempt is committed by itself."""
        self._most = most
        self._members: list[Attempt] = []
        self._size_bytes = 0
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, job_id: object) -> bool:
        return any(member.id == job_id for member in self._members)

    @property
    def last(self) -> Attempt:
        """The one that ended last."""
        return self._members[-1]

    def add(self, attempt: Attempt) -> None:
        """It has ended; with a result that is written, or with nothing left to do but the acknowledgement."""
        if not self._members:
            self._since = time.monotonic()
        self._members.append(attempt)
        self._size_bytes += attempt.size_bytes

    def due(self, *, next_s: float = 0.0) -> bool:
        """True when they are not to wait for another one that takes `next_s`."""
        if not self._members:
            return False
        if len(self._members) >= self._most or self._size_bytes >= MOST_BYTES:
            return True
        return time.monotonic() + next_s - self._since >= WAIT_S

    def take(self) -> list[Attempt]:
        """All of them; the batch is empty after it."""
        members, self._members, self._size_bytes = self._members, [], 0
        return members
