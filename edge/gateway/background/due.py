"""Releases jobs when their time has come. One timer serves all jobs that wait in the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge.core.clock import ClockSet
from edge.core.errors import StorageError
from edge.ledger.commit_thread import CommitThread
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import JobRow
from edge.ledger.writer import LedgerWriter

log = logging.getLogger(__name__)

#: Largest number of jobs in one commit. It is small, because submitters wait for the commit and must not notice it.
_AT_ONCE = 1000
_AGAIN_S = 30.0


class DueTimer:
    """Waits for the job that is due first. Runs on the event loop.

    It wakes up only when a job is due or when somebody sets the wall clock.
    """

    def __init__(
        self, writer: CommitThread, reader: LedgerReader, *, publish: Callable[[Sequence[JobRow]], None]
    ) -> None:
        """`publish` is called with jobs that may be published now. Their state in the ledger is `accepted` already."""
        self._writer, self._reader, self._publish = writer, reader, publish
        self._timer: asyncio.TimerHandle | None = None
        self._clock_set: ClockSet | None = None
        self._looking = False
        self._again = False  # look once more after this look

    def start(self) -> None:
        """Release the jobs that are due, and set the timer on the running loop. Raises StorageError."""
        try:
            self._clock_set = ClockSet()
            asyncio.get_running_loop().add_reader(self._clock_set, self._on_clock_set)
        except OSError as err:  # then a new time is noticed only at the next timer or restart
            log.warning("changes of the clock cannot be watched: %s", err)
        if self._reader.next_due() == (None, None):
            return
        with suppress(StorageError):
            self._writer.write(lambda ledger: ledger.start_clock(), durable=False)
        self.look()

    def stop(self) -> None:
        """Cancel the timer and stop watching the clock."""
        if self._timer is not None:
            self._timer.cancel()
        if self._clock_set is not None:
            with suppress(RuntimeError):  # the loop is closed
                asyncio.get_running_loop().remove_reader(self._clock_set)
            self._clock_set.close()

    def look(self) -> None:
        """Release the jobs that are due, and set the timer again. Also called when a new job may be due first."""
        if self._looking:
            self._again = True
            return
        self._looking = True

        def work(ledger: LedgerWriter) -> tuple[list[JobRow], float | None]:
            return ledger.what_is_due(limit=_AT_ONCE)

        try:
            self._writer.submit(work, durable=False).add_done_callback(self._looked)
        except StorageError:  # the gateway stops
            self._looking = False

    def _looked(self, found: asyncio.Future[tuple[list[JobRow], float | None]]) -> None:
        self._looking = False
        if found.cancelled():
            return
        if (err := found.exception()) is not None:
            log.error("jobs that are due cannot be released: %s; trying again in %g s", err, _AGAIN_S)
            self._wait(_AGAIN_S)
            return
        free, left_s = found.result()
        if free:
            self._publish(free)
        if self._again:
            self._again = False
            self.look()
        elif left_s is not None:
            self._wait(left_s)
        elif self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.look)

    def _on_clock_set(self) -> None:
        if self._clock_set is not None:
            self._clock_set.rearm()
        self.look()
