"""Brings the ledger's write-ahead log into its file, in a thread of its own.

Left to SQLite, each commit that makes the log too long does it before it returns, and one submitter in a few hundred
waits for thousands of pages and two syncs. Here none does, unless the card cannot keep up at all.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

#: About so many pages of 1 KiB in the log are worth a thousand writes to the file at once.
_WORTH_PAGES = 4000
#: Beyond so many a commit does it after all: the log must not grow for ever under a load that never pauses.
MOST_PAGES = 32_000


class Checkpointer:
    """The thread. Sleeps until enough was written; `failed` is told, in this thread, that the disk refused."""

    def __init__(self, path: Path, *, failed: Callable[[], None]) -> None:
        self._path, self._failed = path, failed
        self._pages = 0
        self._wanted = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ledger-log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join()

    def note(self, changes: int) -> None:
        """A commit has made so many changes, those of its triggers too. In the writer's thread only."""
        # A commit of one row has its own page and one or two of each index; of many rows, some share a page.
        self._pages += 4 + changes // 2
        if self._pages >= _WORTH_PAGES:
            self._pages = 0
            self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            try:
                self._carry()
            except sqlite3.Error as err:
                log.error("the ledger's log cannot be brought into its file: %s", err)
                self._failed()

    def _carry(self) -> None:
        """As far as nobody reads what it would overwrite; the rest comes with the next. Raises sqlite3.Error."""
        db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            db.close()
