"""Cuts at the moment a submitter is told something: no time is left to make good what was said too early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

#: What a submitter gets to know; a cut right after it leaves the board no time to make good what it said too early.
Moment = Literal["accepted", "confirmed", "seen", "stored"]


class Trap:
    """Cuts the power the very moment a submitter has been told something for the n-th time."""

    def __init__(self, moment: Moment, count: int, cut: Callable[[], object]) -> None:
        self._moment, self._left, self._cut = moment, count, cut
        self._lock = threading.Lock()
        self.sprung = threading.Event()

    def told(self, moment: Moment) -> None:
        """A submitter was told this, now."""
        if moment != self._moment:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._cut()
                self.sprung.set()
