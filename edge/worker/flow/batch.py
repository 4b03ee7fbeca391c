"""Collects ended attempts whose results become durable together, and decides when they are committed."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.worker.attempt.attempt import Attempt

#: Largest number of attempts in a batch. More would save little, and after a power cut before the commit all
#: their bodies run again.
MOST = 32
#: Size of the results at which a batch is committed.
MOST_BYTES = 256 << 10
#: Longest time that the first member waits for others.
WAIT_S = 0.02


class Batch:
    """Holds ended attempts in the order of their end. Belongs to the main thread."""

    def __init__(self, *, most: int = MOST, on_take: Callable[[], None] = lambda: None) -> None:
        """Make an empty batch.

        Args:
            most: the number of attempts at which the batch is committed; 1 commits each attempt by itself.
            on_take: called each time `take` has emptied the batch.
        """
        self._most, self._on_take = most, on_take
        self._members: list[Attempt] = []
        self._size_bytes = 0
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, job_id: object) -> bool:
        return any(member.id == job_id for member in self._members)

    @property
    def last(self) -> Attempt:
        """The attempt that ended last."""
        return self._members[-1]

    def add(self, attempt: Attempt) -> None:
        """Add an attempt that has ended: its result is written, or only the acknowledgement is left."""
        if not self._members:
            self._since = time.monotonic()
        self._members.append(attempt)
        self._size_bytes += attempt.size_bytes

    def due(self, *, next_s: float = 0.0) -> bool:
        """Return True if the batch must be committed now.

        Args:
            next_s: seconds that the next body is expected to take; the first member must not wait for it too long.
        """
        if not self._members:
            return False
        if len(self._members) >= self._most or self._size_bytes >= MOST_BYTES:
            return True
        return time.monotonic() + next_s - self._since >= WAIT_S

    def take(self) -> list[Attempt]:
        """Return all members and empty the batch."""
        members, self._members, self._size_bytes = self._members, [], 0
        self._on_take()
        return members
