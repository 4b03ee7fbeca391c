"""Asks a node's head for its open jobs while this worker works, so that the node can scale its workers.

A node has no ledger, so its governor would not know the backlog. The first configured worker that is not scaled asks
the head when it begins to work, and every few seconds while it works. An idle worker does not ask. It is idle because
there is no job for it, so another worker would find none either.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import msgspec

from edge.config import Config
from edge.core import durable
from edge.core.errors import EdgeError
from edge.core.host import boot_id
from edge.model import Backlog, OpenJobs, WorkerState, WorkerStatus

logger = logging.getLogger(__name__)

#: Shortest time between two requests. A shorter time is of no use, because a worker needs about as long to start.
EVERY_S = 5.0


class HeadBacklogFile:
    """Writes `run/head/backlog.json`, in its own thread. `note` may be called from any thread."""

    def __init__(self, config: Config, *, ask: Callable[[], tuple[OpenJobs, ...]]) -> None:
        """Make the thread. `ask` returns the open jobs of the head; it raises OSError or EdgeError."""
        self._path, self._ask = config.layout.head_backlog, ask
        self._busy = self._closing = False
        self._changed = threading.Condition()
        self._written: tuple[OpenJobs, ...] | None = None
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="head-backlog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. If it waits for an answer of the head, it ends with the process."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def note(self, status: WorkerStatus) -> None:
        """Note a new status of the worker, which tells if the worker is busy."""
        busy = status.state in (WorkerState.RUNNING, WorkerState.HELD)
        with self._changed:
            if busy is not self._busy:
                self._busy = busy
                self._changed.notify()

    def _run(self) -> None:
        while self._wait():
            self._look()
            with self._changed:
                self._changed.wait_for(lambda: self._closing, EVERY_S)

    def _wait(self) -> bool:
        """Sleep until the worker is busy, or the file must be emptied. Return False if the thread must end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._busy or bool(self._written))
            return not self._closing

    def _look(self) -> None:
        rows: tuple[OpenJobs, ...] = ()
        try:
            if self._busy:
                rows = self._ask()
                self._failed = False
        except (OSError, EdgeError) as err:
            if not self._failed:
                logger.warning(
                    "cannot get the head's backlog: %s; no further workers are started until the head answers", err
                )
            self._failed = True
        if rows == self._written:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            backlog = Backlog(boot_id(), os.getpid(), time.monotonic(), rows)
            durable.replace_volatile(self._path, msgspec.json.encode(backlog))
            self._written = rows
        except OSError as err:
            logger.warning("cannot write %s: %s", self._path, err.strerror or err)
