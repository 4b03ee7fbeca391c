"""Runs the one thread that writes the ledger. All writes that arrive during a commit share the next commit.

So a durable commit costs one sync, for any number of submitters that wait for it. Writes that need not be durable (a
result was noticed) share it too. Writes that no caller waits for (the broker confirmed a job) are delayed on purpose:
they share a later commit, which saves the card one write for each.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

from edge.core.errors import StorageError
from edge.ledger.checkpointer import Checkpointer
from edge.ledger.open_kinds import OpenKind
from edge.ledger.totals import Totals
from edge.ledger.writer import LedgerWriter

T = TypeVar("T")

_LATE_S = 0.5  # longest delay of a write that no caller waits for


@dataclass(eq=False, frozen=True, slots=True)
class _Write(Generic[T]):
    """One write and the future of its caller, which is a thread or an event loop.

    `then` is called with the value after the commit, even if the future was cancelled.
    """

    work: Callable[[LedgerWriter], T]
    durable: bool
    future: Future[T] | asyncio.Future[T]
    then: Callable[[T], None] | None = None


class _Undo(Exception):
    """Carries the error of a write out of its transaction and makes the transaction roll back."""

    def __init__(self, error: Exception) -> None:
        self.error = error


#: `Any`, because the writes of one commit return values of different types.
_AnyWrite: TypeAlias = _Write[Any]
#: The end of a write: its value, or its error.
_Outcome: TypeAlias = tuple[_AnyWrite, Any, Exception | None]


class CommitThread:
    """The thread that owns a `LedgerWriter`. Call `start` before use and `close` at the end."""

    def __init__(self, ledger: LedgerWriter, *, committed: Callable[[], None] | None = None) -> None:
        """Take the writer. `committed` is called after each commit, in the thread of the ledger."""
        self._ledger = ledger
        self._committed = committed
        connection = ledger.connection
        self._checkpointer = Checkpointer(connection.path, connection.log, failed=connection.doubt)
        self._queue: SimpleQueue[_AnyWrite | None] = SimpleQueue()  # None wakes the thread for `_late` and `_closing`
        self._late: list[_AnyWrite] = []
        self._late_since = 0.0
        self._wakes_soon = False  # the thread wakes up within `_LATE_S` by itself and checks `_late`
        self._queue_lock = threading.Lock()  # makes sure that no write is queued after the last None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._checkpointer.start()

    def close(self) -> None:
        """Do the queued writes, end the thread, and close the ledger. Blocks."""
        with self._queue_lock:
            self._closing = True
            self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._checkpointer.close()
        self._ledger.close()

    @property
    def totals(self) -> Totals:
        """The totals of the ledger at its last commit; may be read from any thread."""
        return self._ledger.connection.totals

    @property
    def open_jobs(self) -> int:
        """The number of jobs without a result at the last commit; may be read from any thread."""
        return self._ledger.connection.open_jobs_at_last_commit

    @property
    def open_kinds(self) -> tuple[OpenKind, ...]:
        """Open jobs by kind at the last commit, or empty if they are not counted; may be read from any thread."""
        return self._ledger.connection.open_kinds

    def write(self, work: Callable[[LedgerWriter], T], *, durable: bool, late: bool = False) -> Future[T]:
        """Run `work` inside the next commit. The future is done after that commit. May be called from any thread.

        If `work` raises, only its own changes are undone, and the future gets the exception. On a disk error every
        write of the commit gets StorageError, and nothing is changed.

        Args:
            work: the write, which runs in the thread of the ledger.
            durable: True if the commit must survive a power cut.
            late: True if the write may wait for a commit that is made for other writes.

        Raises:
            StorageError: the gateway is shutting down.
        """
        future: Future[T] = Future()
        self._enter(_Write(work, durable, future), late=late)
        return future

    def submit(
        self, work: Callable[[LedgerWriter], T], *, durable: bool = True, then: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Run `work` as `write` does, for a caller on the running event loop.

        A cancelled future does not stop the work. `then` is called on the loop with its value in any case.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enter(_Write(work, durable, future, then), late=False)
        return future

    def _enter(self, write: _AnyWrite, *, late: bool) -> None:
        with self._queue_lock:
            if self._closing:
                raise StorageError("ledger", ValueError("the gateway is shutting down"))
            if not late:
                self._queue.put(write)
                return
            self._late.append(write)
            if len(self._late) == 1:
                self._late_since = time.monotonic()
                if not self._wakes_soon:
                    self._queue.put(None)

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group:
                self._commit(group)
            elif self._closing:
                return

    def _next_group(self) -> list[_AnyWrite]:
        """Wait for writes and return the ones to commit now. If the list is empty, the caller calls again."""
        group: list[_AnyWrite] = []
        try:
            first = self._queue.get(timeout=0.0 if self._closing else self._late_wait_s())
            group += [first] if first else []
            while True:
                more = self._queue.get_nowait()
                group += [more] if more else []
        except Empty:
            pass
        with self._queue_lock:
            if group or self._closing or self._late_wait_s() == 0.0:
                group, self._late = [*self._late, *group], []
            # After most commits the broker's confirm follows at once, as a late write. If the thread wakes up soon by
            # itself, that write need not wake it only to set a timer.
            self._wakes_soon = bool(group or self._late)
        return group

    def _late_wait_s(self) -> float | None:
        """Return the seconds to wait at most for the next write, or None to wait without a limit."""
        if self._late:
            return max(0.0, self._late_since + _LATE_S - time.monotonic())
        return _LATE_S if self._wakes_soon else None

    def _commit(self, group: list[_AnyWrite]) -> None:
        try:
            outcomes = self._written(group)
        except Exception as err:  # every caller must get the error, whatever its type is
            outcomes = [(write, None, err) for write in group]
        on_loops: defaultdict[asyncio.AbstractEventLoop, list[_Outcome]] = defaultdict(list)
        for outcome in outcomes:
            future = outcome[0].future
            if isinstance(future, Future):
                _settle(outcome)
            else:
                on_loops[future.get_loop()].append(outcome)
        for loop, ended in on_loops.items():  # one wake-up of a loop for all its writes of this commit
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle_all, ended)
        if self._committed is not None:
            self._committed()
        self._checkpointer.look()

    def _written(self, group: list[_AnyWrite]) -> list[_Outcome]:
        """Commit the group. Undo only a write that raises. Raises StorageError if nothing was committed."""
        durable = any(write.durable for write in group)
        if len(group) == 1:  # a single write needs no savepoint: its transaction is rolled back
            (write,) = group
            try:
                with self._ledger.transaction(durable=durable):
                    outcome = self._alone(write)
            except _Undo as undone:
                return [(write, None, undone.error)]
            return [outcome]
        with self._ledger.transaction(durable=durable):
            return [self._attempt(write) for write in group]

    def _alone(self, write: _AnyWrite) -> _Outcome:
        try:
            return write, write.work(self._ledger), None
        except sqlite3.IntegrityError as err:
            raise _Undo(err) from err
        except (StorageError, sqlite3.Error):
            raise
        except Exception as err:
            raise _Undo(err) from err

    def _attempt(self, write: _AnyWrite) -> _Outcome:
        try:
            with self._ledger.connection.savepoint():
                return write, write.work(self._ledger), None
        except sqlite3.IntegrityError as err:
            return write, None, err
        except (StorageError, sqlite3.Error):
            raise
        except Exception as err:
            return write, None, err


def _settle_all(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        _settle(outcome)


def _settle(outcome: _Outcome) -> None:
    """Set the result of the future, unless it was cancelled."""
    write, value, error = outcome
    if write.then is not None and error is None:
        write.then(value)
    if write.future.done():  # cancelled
        return
    if error is None:
        write.future.set_result(value)
    else:
        write.future.set_exception(error)
