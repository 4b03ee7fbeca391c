"""The one connection that writes the ledger: how it is opened, what a commit is, what follows an error of the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge.core.errors import StorageError
from edge.ledger import schema, totals
from edge.ledger.checkpointer import MOST_PAGES
from edge.ledger.reader import LedgerReader
from edge.ledger.totals import Totals

#: Of a new file. A commit writes each page it touched, and a row is small: with pages of 4 KiB a job cost the card
#: twice as much.
_PAGE_BYTES = 1024


class Commits(LedgerReader):
    """Not thread-safe. After an error of the disk the next `transaction` sets right what it left, or raises as well."""

    _mode = "rwc"
    _last_seq = 0
    _suspect = False  # an error of the disk came between, see `transaction`
    _corrupt = False  # an index did not say what its row does
    _stuck = False  # a transaction could not even be undone

    def _open(self) -> None:
        """As anybody opens it, but whatever our umask is only we write it and only our group reads it."""
        with suppress(OSError):  # SQLite says what is wrong with the file
            if self.path.exists():
                self.path.chmod(self.path.stat().st_mode & 0o640)
            elif self._mode == "rwc":  # its log gets the same mode
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
        super()._open()

    def _opened(self) -> None:
        self._synchronous = ""
        self._db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA cache_size = -2000")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")
        schema.bring_up(self._db)
        totals.count_along(self._db)
        self.unmet = schema.unmet(self._db)  # no broker had anything of this file's jobs
        self._last_seq = max(self._last_seq, self._value("SELECT coalesce(max(seq), 0) FROM job"))
        self.totals: Totals = totals.read(self._db)
        self._mode = "rw"  # opened again it is there, or its disk is gone and a new one in its place would be another's

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """All writes inside become one commit: synced to the card when `durable`, else with the next that is.

        Raises StorageError when the disk refuses; then nothing of it has happened. After that the log itself is
        suspect: a failed sync may have lost frames that were written before, and one after the hole would "succeed"
        and be dropped at the next start. So it is emptied into the file first.
        """
        try:
            if self._stuck:
                self.close()
                self._open()
                self._stuck = False
            if self._suspect:
                self._empty_log()
            if self._corrupt:
                self._corrupt = False
                with suppress(sqlite3.Error):
                    self._db.execute("REINDEX")
            self._sync("FULL" if durable else "NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            now = totals.read(self._db)
            self._db.execute("COMMIT")
            self.totals = now
        except BaseException as err:
            self._undo()
            if isinstance(err, sqlite3.Error):
                self._suspect = True
                self._corrupt = getattr(err, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
                raise StorageError("ledger", err) from err
            raise

    def _undo(self) -> None:
        """End a failed transaction; where the disk refuses even that, the connection is of no use any more."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._stuck = True

    @property
    def changes(self) -> int:
        """Changes made since the file was opened, those of triggers too; 0 while it cannot be opened again."""
        return 0 if self._stuck else self._db.total_changes

    def doubt(self) -> None:
        """An error of the disk was seen elsewhere: trust the log no longer. From any thread."""
        self._suspect = True

    def _sync(self, how: str) -> None:
        if how != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {how}")
            self._synchronous = how

    def _empty_log(self) -> None:
        """Bring all of the write-ahead log into the file, synced. Raises sqlite3.Error."""
        self._sync("FULL")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the log could not be emptied after an error of the disk")
        self._suspect = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a transaction: what raises is undone alone."""
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO one")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE one")
