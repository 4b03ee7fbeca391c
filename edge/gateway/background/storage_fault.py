"""Tracks whether the ledger accepts writes. A failed submit sets the fault; a successful write clears it."""

from __future__ import annotations

import asyncio
import logging

from edge.core.backoff import Backoff
from edge.core.errors import StorageError
from edge.gateway.background.outbox import Outbox

log = logging.getLogger(__name__)

_RETRY = Backoff(first_s=1.0, most_s=30.0)


class StorageFault:
    """Holds the present fault of the ledger, if any. Runs on the event loop.

    During a fault a task tests the ledger again and again. It cannot wait for the next submit, because clients may not
    submit to a board that reports itself as unhealthy.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._watch: asyncio.Task[None] | None = None
        self.why = ""  # the error of the last failed write; empty if there is no fault

    def note(self, err: StorageError) -> None:
        """Set the fault, because a submit failed."""
        self.why = str(err)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._prove())

    def clear(self) -> None:
        """Clear the fault, because a submit succeeded."""
        self.why = ""

    async def close(self) -> None:
        """Stop the task."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _prove(self) -> None:
        # A submit that succeeds meanwhile does not end this: only `prove` publishes the open jobs again.
        for pause_s in _RETRY.pauses():
            await asyncio.sleep(pause_s)
            try:
                count = await self._outbox.prove()
            except StorageError as err:
                self.why = str(err)
            else:
                self.why = ""
                log.info("the ledger accepts writes again; %d open jobs are published again", count)
                return
