"""On a node that scales its workers: what the head has to do, asked for while this worker works.

A node sees no ledger, so the rule of its governor would know no backlog. The first worker that always runs asks the
head when it begins to work and every few seconds while it does. An idle one asks nothing: there is nothing that it may
take, so a further worker would find nothing either.
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

#: Shortest time between two questions. The rule starts nothing faster than a worker starts.
EVERY_S = 5.0


class HeadBacklogFile:
    """Writes `run/head/backlog.json` in a thread of its own. `note` may be called from any thread."""

    def __init__(self, config: Config, *, ask: Callable[[], tuple[OpenJobs, ...]]) -> None:
        """`ask` returns the open jobs of the head; raises OSError or EdgeError."""
        self._path, self._ask = config.layout.head_backlog, ask
        self._busy = self._closing = False
        self._news = threading.Condition()
        self._written: tuple[OpenJobs, ...] | None = None
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="head-backlog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that waits for the head ends with the process."""
        with self._news:
            self._closing = True
            self._news.notify()

    def note(self, status: WorkerStatus) -> None:
        """Take in what the worker says of itself."""
        busy = status.state in (WorkerState.RUNNING, WorkerState.HELD)
        with self._news:
            if busy is not self._busy:
                self._busy = busy
                self._news.notify()

    def _run(self) -> None:
        while self._wait():
            self._look()
            with self._news:
                self._news.wait_for(lambda: self._closing, EVERY_S)

    def _wait(self) -> bool:
        """Sleep until there is something to ask for, or to take back; False at the end."""
        with self._news:
            self._news.wait_for(lambda: self._closing or self._busy or bool(self._written))
            return not self._closing

    def _look(self) -> None:
        rows: tuple[OpenJobs, ...] = ()
        try:
            if self._busy:
                rows = self._ask()
                self._failed = False
        except (OSError, EdgeError) as err:
            if not self._failed:
                logger.warning("the head does not tell its backlog: %s; no further worker is started for it", err)
            self._failed = True
        if rows == self._written:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            told = Backlog(boot_id(), os.getpid(), time.monotonic(), rows)
            durable.replace_volatile(self._path, msgspec.json.encode(told))
            self._written = rows
        except OSError as err:
            logger.warning("cannot write %s: %s", self._path, err.strerror or err)
