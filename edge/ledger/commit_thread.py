"""One thread writes the ledger; whoever asks while a commit is under way shares the next one.

So a durable commit costs one sync of the card however many submitters wait for it. Writes that need not be durable
(a result was seen) share it too, and those that nobody waits for (the broker confirmed) are late on purpose: they ride
along with the next commit, which spares the card a write each.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge.core.errors import StorageError
from edge.ledger.checkpointer import Checkpointer
from edge.ledger.totals import Totals
from edge.ledger.writer import LedgerWriter

T = TypeVar("T")

_LATE_S = 0.5  # how long a write that nobody waits for may wait for company


@dataclass(eq=False)
class _Write:
    work: Callable[[LedgerWriter], Any]
    durable: bool
    future: Future[Any] = field(default_factory=Future)


class CommitThread:
    """The only writer of a `LedgerWriter`. `start()` before use, `close()` when done."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger
        connection = ledger.connection
        self._log = Checkpointer(connection.path, connection.log, failed=connection.doubt)
        self._queue: deque[_Write] = deque()
        self._late: deque[_Write] = deque()
        self._late_since = 0.0
        self._wanted = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._log.start()

    def close(self) -> None:
        """Write what is queued, then end the thread and close the ledger."""
        with self._wanted:
            self._closing = True
            self._wanted.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._log.close()
        self._ledger.close()

    @property
    def totals(self) -> Totals:
        """What the ledger held at its last commit; from any thread."""
        return self._ledger.connection.totals

    def write(self, work: Callable[[LedgerWriter], T], *, durable: bool, late: bool = False) -> Future[T]:
        """Run `work` inside the next commit; the future is done when that commit is. `late`: no commit for it alone.

        What `work` raises undoes `work` alone and is the future's; when the disk refuses, everyone in the commit gets
        the StorageError and nothing has happened.
        """
        write = _Write(work, durable)
        with self._wanted:
            if self._closing:
                raise StorageError("ledger", ValueError("the gateway is shutting down"))
            if late:
                if not self._late:
                    self._late_since = time.monotonic()
                self._late.append(write)
                if len(self._late) > 1:
                    return write.future  # the thread knows already
            else:
                self._queue.append(write)
            self._wanted.notify()
        return write.future

    async def submit(self, work: Callable[[LedgerWriter], T], *, durable: bool = True) -> T:
        """As `write`, for the event loop: returns once the commit is done."""
        return await asyncio.wrap_future(self.write(work, durable=durable))

    def _run(self) -> None:
        while True:
            with self._wanted:
                while not self._queue and not self._closing and self._patience() != 0.0:
                    self._wanted.wait(self._patience())
                group = [*self._late, *self._queue]
                self._late.clear()
                self._queue.clear()
                if not group:
                    return
            self._commit(group)

    def _patience(self) -> float | None:
        """Seconds until late writes have waited long enough; None: there are none, sleep on."""
        return max(0.0, self._late_since + _LATE_S - time.monotonic()) if self._late else None

    def _commit(self, group: list[_Write]) -> None:
        group = [write for write in group if write.future.set_running_or_notify_cancel()]
        outcomes: list[tuple[_Write, Any, Exception | None]]
        try:
            with self._ledger.transaction(durable=any(write.durable for write in group)):
                outcomes = [self._attempt(write) for write in group]
        except Exception as err:  # every waiter must learn of it, whatever it was
            outcomes = [(write, None, err) for write in group]
        for write, value, error in outcomes:
            if error is None:
                write.future.set_result(value)
            else:
                write.future.set_exception(error)
        self._log.look()

    def _attempt(self, write: _Write) -> tuple[_Write, Any, Exception | None]:
        try:
            with self._ledger.connection.savepoint():
                return write, write.work(self._ledger), None
        except sqlite3.IntegrityError as err:
            return write, None, err
        except (StorageError, sqlite3.Error):
            raise
        except Exception as err:
            return write, None, err
