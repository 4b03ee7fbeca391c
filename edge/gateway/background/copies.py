"""Renews the copy of the ledger: after changes, at a rate that spares the card, and at a clean stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.ledger.recovery import copies

log = logging.getLogger(__name__)

_FIRST_S = 600.0  # a board that is up for an hour a day gets its copy as well
_BYTES_A_DAY = 256 << 20  # limits how often a large ledger is copied; a card lasts for decades at this rate
_STOP_S = 5.0  # how much longer a stop may take for a copy
_SMALL_BYTES = 16 << 20


class Copies:
    """Looks every `every_s` whether there is something to copy; a board without jobs writes nothing."""

    def __init__(self, layout: Layout, every_s: float, *, copied: Callable[[], None] = lambda: None) -> None:
        """`copied` is called, in a thread, whenever the copy has all that the ledger has."""
        self._copied = copied
        self._ledger, self._copy, self._every_s = layout.ledger, layout.ledger_copy, every_s
        self._made_at = time.monotonic()
        self._leaving = threading.Event()
        self._making = threading.Lock()  # two copies at once would share a temporary name
        self.fault = ""  # why the last copy could not be made; empty when it could

    async def run(self) -> None:
        """Copy for ever."""
        await asyncio.sleep(max(min(_FIRST_S, self._every_s), self._budget_s()))
        while True:
            await asyncio.to_thread(self.make)
            await asyncio.sleep(max(self._every_s, self._budget_s()))

    def stop(self) -> None:
        """Make a last copy after the writer has stopped, unless the ledger is large and was copied recently.

        A copy under way is broken off, because it may take minutes; the copy before it stays. Called in a thread.
        """
        self._leaving.set()
        if self._making.acquire(timeout=_STOP_S):
            self._making.release()
        self._leaving.clear()
        small = self._budget_s() <= _SMALL_BYTES / _BYTES_A_DAY * 86_400
        if small or time.monotonic() - self._made_at >= self._budget_s():
            self.make(limit_s=_STOP_S)

    def make(self, *, limit_s: float = 600.0) -> None:
        """Copy if something has changed since the last copy; a failure is noted, and the last copy stays."""
        if not self._making.acquire(blocking=False):
            return
        try:
            if copies.mark(self._ledger) != copies.mark(self._copy):
                copies.copy(self._ledger, self._copy, limit_s=limit_s, stop=self._leaving)
            self._copied()
            self._made_at, self.fault = time.monotonic(), ""
        except StorageError as err:
            if not self._leaving.is_set():
                self.fault = str(err)
                log.error("%s; the last one stays", err)
        finally:
            self._making.release()

    def _budget_s(self) -> float:
        """Return the shortest time between copies of a ledger of this size."""
        try:
            return self._ledger.stat().st_size / _BYTES_A_DAY * 86_400
        except OSError:
            return 0.0
