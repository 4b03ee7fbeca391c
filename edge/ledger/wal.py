"""Tracks the length of the ledger's write-ahead log, and decides which checkpoint may start.

SQLite 3.7.0 to 3.51.2 can lose committed pages ("WAL-reset bug"). It happens if a checkpoint has copied the whole log
into the file, a second checkpoint starts at once, and a commit on another connection restarts the log meanwhile. The
second checkpoint then marks frames of the new log as copied, although they were not. Debian 12 and 13 ship such
versions. So a checkpoint on a second connection does not start if the last one was complete and no commit has followed
it.
"""

from __future__ import annotations

import sqlite3
import threading

#: A checkpoint is made after about this many new pages of 1 KiB; with fewer, it is not worth the bytes that it writes.
WORTH_PAGES = 4000
#: Above this many pages the writer makes a checkpoint itself, so that the log stays bounded under constant load.
MOST_PAGES = 32_000


class WriteAheadLog:
    """Starts every checkpoint of one ledger, on any connection, and remembers how the last one ended.

    The checkpointer thread calls `checkpoint`. The writer's thread calls all other methods.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._begun = 0  # number of the newest commit that has begun
        self._committed = 0  # number of the newest commit that succeeded
        self._covered = 0  # commits up to this number began before the last checkpoint ended
        self._complete = False  # the last checkpoint copied the whole log
        self._pages = 0  # estimate of all pages ever written to the log; the writer's thread counts
        self._copied_pages = 0  # value of `_pages` when the last complete checkpoint began
        self._requested_at_pages = self._tried_at_pages = 0

    def begin_commit(self) -> None:
        """Count a commit before it starts."""
        self._begun += 1

    def end_commit(self, changes: int) -> None:
        """Record that the commit succeeded with this many changed rows, including changes by triggers."""
        self._committed = self._begun
        # A commit of one row writes its page and one or two pages of each index. Many rows share some of their pages.
        self._pages += 4 + changes // 2

    def wants_checkpoint(self) -> bool:
        """Return True if enough was written since this method last returned True."""
        if self._pages - self._requested_at_pages < WORTH_PAGES:
            return False
        self._requested_at_pages = self._pages
        return True

    @property
    def overlong(self) -> bool:
        """True if the log is so long that the writer itself must shorten it now."""
        return self._pages - max(self._copied_pages + MOST_PAGES - WORTH_PAGES, self._tried_at_pages) >= WORTH_PAGES

    def checkpoint(self, db: sqlite3.Connection) -> bool:
        """Make a checkpoint. Return False if none may start now. Raises sqlite3.Error.

        The writer may commit at the same time. The checkpoint does not overwrite pages in the file that a reader still
        needs; the next checkpoint copies the rest.
        """
        with self._one_at_a_time:
            # A commit that began before the last checkpoint ended may be part of it, so it does not count as later.
            if self._complete and self._committed <= self._covered:
                return False
            self._checkpoint(db, "PASSIVE")
            return True

    def shorten(self, db: sqlite3.Connection) -> None:
        """Make a checkpoint on the writer's own connection, unless another one runs now. Raises sqlite3.Error."""
        self._tried_at_pages = self._pages
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._checkpoint(db, "PASSIVE")
            finally:
                self._one_at_a_time.release()

    def empty(self, db: sqlite3.Connection) -> bool:
        """Copy the whole log into the file and truncate it, on the writer's connection. Return True if that worked.

        Raises sqlite3.Error.
        """
        with self._one_at_a_time:
            return self._checkpoint(db, "TRUNCATE")

    def _checkpoint(self, db: sqlite3.Connection, mode: str) -> bool:
        self._complete = False
        pages = self._pages
        busy, frames, copied = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._covered = self._begun
        self._complete = frames == copied >= 0  # both are -1 if another checkpoint was running
        if self._complete:
            self._copied_pages = pages
        return not busy
