"""The ledger's write-ahead log: its length, and which checkpoint may start.

SQLite 3.7.0 to 3.51.2 can lose committed pages ("WAL-reset bug"): a checkpoint has brought everything into the file,
a second one starts at once, and a commit on another connection starts the log anew meanwhile. The second checkpoint
then marks frames of the new log as brought in that never were. Debian 12 and 13 ship such versions, so a checkpoint
beside the writer never starts while the last one was complete and no commit has followed it.
"""

from __future__ import annotations

import sqlite3
import threading

#: A checkpoint is worth its writes from about this many pages of 1 KiB on.
WORTH_PAGES = 4000
#: Beyond this many pages the writer makes a checkpoint itself, so that the log stays bounded under constant load.
MOST_PAGES = 32_000


class WriteAheadLog:
    """Starts every checkpoint of one ledger, on whichever connection, and remembers how the last one ended.

    The writer's thread calls all methods but `carry`, which is the checkpointer thread's.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._begun = 0  # number of the newest commit that has begun
        self._committed = 0  # number of the newest commit that succeeded
        self._covered = 0  # commits up to this number began before the last checkpoint ended
        self._complete = False  # the last checkpoint brought in all that it found
        self._pages = 0  # estimate of all pages ever written to the log; the writer's thread counts
        self._carried_pages = 0  # how many of these were there when the last complete checkpoint began
        self._asked_at_pages = self._tried_at_pages = 0

    def begin_commit(self) -> None:
        """Count a commit before it starts."""
        self._begun += 1

    def end_commit(self, changes: int) -> None:
        """Note that the commit succeeded with this many changed rows, including those of triggers."""
        self._committed = self._begun
        # A commit of one row writes its own page and one or two of each index; of many rows, some share a page.
        self._pages += 4 + changes // 2

    def worth_carrying(self) -> bool:
        """True when enough was written since this last returned True."""
        if self._pages - self._asked_at_pages < WORTH_PAGES:
            return False
        self._asked_at_pages = self._pages
        return True

    @property
    def overlong(self) -> bool:
        """True when the log is so long that the writer itself must shorten it now."""
        return self._pages - max(self._carried_pages + MOST_PAGES - WORTH_PAGES, self._tried_at_pages) >= WORTH_PAGES

    def carry(self, db: sqlite3.Connection) -> bool:
        """Make a checkpoint beside the writer; False when none may start now. Raises sqlite3.Error.

        It goes as far as no reader needs what it would overwrite; the rest comes with the next one.
        """
        with self._one_at_a_time:
            # A commit that began before the last checkpoint ended may have been part of it, so it does not count here.
            if self._complete and self._committed <= self._covered:
                return False
            self._checkpoint(db, "PASSIVE")
            return True

    def relieve(self, db: sqlite3.Connection) -> None:
        """Make a checkpoint on the writer's own connection, unless one is under way. Raises sqlite3.Error."""
        self._tried_at_pages = self._pages
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._checkpoint(db, "PASSIVE")
            finally:
                self._one_at_a_time.release()

    def empty(self, db: sqlite3.Connection) -> bool:
        """Bring all into the file and cut the log, on the writer's own connection; True when it worked.

        Raises sqlite3.Error.
        """
        with self._one_at_a_time:
            return self._checkpoint(db, "TRUNCATE")

    def _checkpoint(self, db: sqlite3.Connection, mode: str) -> bool:
        self._complete = False
        pages = self._pages
        busy, frames, carried = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._covered = self._begun
        self._complete = frames == carried >= 0  # -1: another checkpoint was under way
        if self._complete:
            self._carried_pages = pages
        return not busy
