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

_FIRST_S = 600.0  # early, so that a board that runs for only one hour a day gets a copy, too
_BYTES_A_DAY = 256 << 20  # limits how often a large ledger is copied; a card lasts for decades at this rate
_STOP_S = 5.0  # longest time that a stop waits for a copy
_SMALL_BYTES = 16 << 20  # a ledger up to this size is copied at every stop


class Copies:
    """Copies the ledger every `every_s` seconds if it has changed. A board without jobs writes nothing.

    `run` belongs to the event loop; `make` and `stop` are called in a thread.
    """

    def __init__(self, layout: Layout, every_s: float, *, copied: Callable[[], None] = lambda: None) -> None:
        """`copied` is called in a thread whenever the copy has the same content as the ledger."""
        self._copied = copied
        self._ledger, self._copy, self._every_s = layout.ledger, layout.ledger_copy, every_s
        self._made_at = time.monotonic()
        self._leaving = threading.Event()
        self._making = threading.Lock()  # two copies at once would share a temporary name
        self.fault = ""  # why the last attempt to copy failed; empty if it succeeded

    async def run(self) -> None:
        """Copy again and again until this is cancelled."""
        await asyncio.sleep(max(min(_FIRST_S, self._every_s), self._budget_s()))
        while True:
            await asyncio.to_thread(self.make)
            await asyncio.sleep(max(self._every_s, self._budget_s()))

    def stop(self) -> None:
        """Make a last copy after the writer has stopped, unless the ledger is large and was copied recently.

        A running copy is aborted, because it may take minutes; the previous copy stays. Called in a thread.
        """
        self._leaving.set()
        if self._making.acquire(timeout=_STOP_S):
            self._making.release()
        self._leaving.clear()
        small = self._budget_s() <= _SMALL_BYTES / _BYTES_A_DAY * 86_400
        if small or time.monotonic() - self._made_at >= self._budget_s():
            self.make(limit_s=_STOP_S)

    def make(self, *, limit_s: float = 600.0) -> None:
        """Copy the ledger if it has changed since the last copy.

        A failure is logged and set as `fault`; the previous copy stays. Called in a thread.
        """
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
                log.error("%s; the previous copy stays", err)
        finally:
            self._making.release()

    def _budget_s(self) -> float:
        """Return the shortest time between copies of a ledger of this size."""
        try:
            return self._ledger.stat().st_size / _BYTES_A_DAY * 86_400
        except OSError:
            return 0.0
