"""Chooses the calls that make a group of results durable, by the file system and the duration of the last sync."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from edge.core import ordered

#: A sync of the whole file system that takes longer has waited for other programs: a card syncs 32 results faster.
SLOW_S = 2.0
#: For this time after a slow sync each file is synced alone. That costs more flushes, but waits for no other program.
REST_S = 60.0


class Way(StrEnum):
    """How content and names of a group become durable."""

    ORDERED = "ordered"  #: content is written out, and one commit of the journal makes it durable with the names
    TOGETHER = "together"  #: the whole file system is synced, once for the content and once for the names
    APART = "apart"  #: each file is synced, then each folder


class SyncChoice:
    """Chooses the way of each commit, and remembers slow ones. Any thread may use it."""

    def __init__(
        self,
        *,
        keeps_order: Callable[[int], bool] = ordered.keeps_order,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the test of a file system and the clock. `keeps_order` gets an `st_dev`, see `edge.core.ordered`."""
        self._keeps_order, self._now_s = keeps_order, now_s
        self._known: tuple[int, bool] | None = None
        self._apart_until_s = 0.0

    def way(self, device: int, members: int) -> Way:
        """Return the way to commit `members` results on the file system `device` (an `st_dev`)."""
        known = self._known
        if known is None or known[0] != device:
            known = self._known = device, self._keeps_order(device)
        if known[1]:
            return Way.ORDERED
        return Way.APART if members == 1 or self._now_s() < self._apart_until_s else Way.TOGETHER

    def took(self, seconds: float) -> None:
        """Record how long a sync of the whole file system took."""
        if seconds > SLOW_S:
            self._apart_until_s = self._now_s() + REST_S
