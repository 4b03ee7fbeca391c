"""Runs the thread that checkpoints the ledger: it copies the write-ahead log into the file.

Without this thread, SQLite makes the checkpoint inside the commit that makes the log too long. Then one submitter in a
few hundred waits for thousands of pages and two syncs. With it no submitter waits, unless the card is too slow for all.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from edge.ledger.wal import WriteAheadLog

logger = logging.getLogger(__name__)


class Checkpointer:
    """Owns the checkpoint thread, which sleeps until enough was written. It calls `failed` there on a disk error."""

    def __init__(self, path: Path, log: WriteAheadLog, *, failed: Callable[[], None]) -> None:
        self._path, self._log, self._failed = path, log, failed
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

    def look(self) -> None:
        """Wake the thread if enough was written since its last run. The writer's thread calls it after each commit."""
        if self._log.wants_checkpoint():
            self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            try:
                self._checkpoint()
            except sqlite3.Error as err:
                logger.error("the ledger's log cannot be copied into its file: %s", err)
                self._failed()

    def _checkpoint(self) -> None:
        """Make one checkpoint, on a new connection. Raises sqlite3.Error."""
        db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            self._log.checkpoint(db)
        finally:
            db.close()
