"""How the results of a group become durable: which calls, decided by their file system and by what a sync last took."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from edge.core import ordered

#: A sync of the whole file system that took longer waited for other programs' bytes: 32 results take a card less.
SLOW_S = 2.0
#: After that each result is synced by itself for so long, which costs more flushes and waits for nobody.
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
        """`keeps_order` tells it of the `st_dev` of a file system."""
        self._keeps_order, self._now_s = keeps_order, now_s
        self._known: tuple[int, bool] | None = None
        self._apart_until_s = 0.0

    def way(self, device: int, members: int) -> Way:
        """The way for so many results on the file system `device`."""
        known = self._known
        if known is None or known[0] != device:
            known = self._known = device, self._keeps_order(device)
        if known[1]:
            return Way.ORDERED
        return Way.APART if members == 1 or self._now_s() < self._apart_until_s else Way.TOGETHER

    def took(self, seconds: float) -> None:
        """Note how long a sync of the whole file system took."""
        if seconds > SLOW_S:
            self._apart_until_s = self._now_s() + REST_S
