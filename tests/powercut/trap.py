"""Cuts the power at the moment a submitter gets an answer, so the board cannot make up for a promise made too early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

#: The answers that a submitter gets: a job accepted, a publish confirmed, a result seen, a file stored.
Moment = Literal["accepted", "confirmed", "seen", "stored"]


class Trap:
    """Cuts the power at the `count`-th answer of one kind. `reached` may be called from any thread."""

    def __init__(self, moment: Moment, count: int, cut: Callable[[], object]) -> None:
        self._moment, self._left, self._cut = moment, count, cut
        self._lock = threading.Lock()
        self.sprung = threading.Event()

    def reached(self, moment: Moment) -> None:
        """Note that a submitter got this answer just now, and cut the power if it is the one awaited."""
        if moment != self._moment:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._cut()
                self.sprung.set()
