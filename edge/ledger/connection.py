"""Opens one connection to the ledger's file, makes its commits, and recovers after an error of the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edge.core.durable import check_writable
from edge.core.errors import StorageError
from edge.ledger import open_kinds, schema, totals
from edge.ledger.open_kinds import OpenKind
from edge.ledger.rows import SqlRow, SqlValue, legible
from edge.ledger.totals import Totals
from edge.ledger.wal import WriteAheadLog

#: Page size of a new file. A commit writes each page that it changed, and a row is small. With pages of 4 KiB the card
#: writes twice as much for each job.
_PAGE_BYTES = 1024


class Connection:
    """A read-only connection, or the one connection that also writes.

    Not thread-safe, except `doubt`, `totals` and `open_kinds`. After an error of the disk the next `transaction`
    repairs the damage first. It raises too if that is not possible.
    """

    def __init__(self, path: Path, *, writable: bool = False, by_kind: bool = False) -> None:
        """Open the file. A writable connection creates it and upgrades its tables. Raises StorageError.

        With `by_kind` a writable connection also counts the open jobs of each kind.
        """
        self.path = path
        self.log = WriteAheadLog()
        self._writable = writable
        self._synchronous = ""
        self._suspect = False  # an error of the disk happened, see `transaction`
        self._corrupt = False  # an index did not match its row
        self._stuck = False  # a transaction could not be rolled back
        self._counts: list[totals.Count] = []  # as of the last commit
        self._by_kind = by_kind
        self._kinds: tuple[OpenKind, ...] = ()  # as of the last commit
        self._changes_before = 0
        self._db = self._open(create=writable)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    # ---- reading ----

    def query(self, sql: str, values: Iterable[SqlValue] = ()) -> list[SqlRow]:
        """Return all rows of a statement. Raises StorageError."""
        try:
            return self._db.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as err:
            raise StorageError("ledger", err) from err

    def stream(self, sql: str, values: Iterable[SqlValue] = ()) -> Iterator[SqlRow]:
        """Yield the rows of a statement one by one. SQLite reads each when the caller needs it. Raises StorageError."""
        try:
            yield from self._db.execute(sql, tuple(values))
        except sqlite3.Error as err:
            raise StorageError("ledger", err) from err

    # ---- writing ----

    @property
    def totals(self) -> Totals:
        """The running totals at the last commit of this connection. May be read from any thread."""
        return totals.of(self._counts)

    @property
    def open_jobs_at_last_commit(self) -> int:
        """The number of jobs without a result at the last commit of this connection. May be read from any thread."""
        return totals.open_in(self._counts)

    @property
    def open_kinds(self) -> tuple[OpenKind, ...]:
        """Open jobs by kind at the last commit, or empty if they are not counted. May be read from any thread."""
        return self._kinds

    @property
    def open_jobs(self) -> int:
        """The number of jobs without a result, including changes of the present transaction."""
        return totals.open_jobs(self._db)

    @property
    def open_jobs_at_most(self) -> int:
        """An upper bound of `open_jobs` inside a transaction, without a query: it counts each change as a new job."""
        return self.open_jobs_at_last_commit + self._db.total_changes - self._changes_before

    @property
    def unmet(self) -> bool:
        """True until this new file has been compared with the broker's store, see `meet`. Raises StorageError."""
        try:
            return schema.unmet(self._db)
        except sqlite3.Error as err:
            raise StorageError(f"ledger {self.path}", err) from err

    def execute(self, sql: str, values: Iterable[SqlValue] = ()) -> int:
        """Run one statement inside a transaction and return the number of changed rows. Raises sqlite3.Error."""
        return self._db.execute(sql, tuple(values)).rowcount

    def execute_many(self, sql: str, rows: Iterable[tuple[SqlValue, ...]]) -> int:
        """Run one statement for each of `rows` inside a transaction, and return the number of all changed rows.

        Raises sqlite3.Error.
        """
        return self._db.executemany(sql, rows).rowcount

    def meet(self) -> None:
        """Record in the file that it has been compared with the broker's store. Raises sqlite3.Error."""
        schema.met(self._db)

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Make all writes inside one commit.

        A `durable` commit is synced to the card at once; another one becomes durable with the next `durable` one.

        Raises StorageError on a disk error. Then nothing is changed. The one exception: if the file system has stopped
        writing for good, readers see the changes until the board starts again. After an error the log itself may be
        damaged: a failed sync may have lost earlier frames. A later commit would seem to succeed, and SQLite would drop
        it at the next start. So the next transaction first empties the log into the file.
        """
        try:
            self._repair()
            self._check_disk()  # before the log is overwritten: a checkpoint may have been lost
            self._sync("FULL" if durable else "NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            self._changes_before = before = self._db.total_changes
            yield
            now = totals.counted(self._db)
            kinds = open_kinds.counted(self._db) if self._by_kind else ()
            self.log.begin_commit()
            self._db.execute("COMMIT")
            self._counts, self._kinds = now, kinds
        except BaseException as err:
            self._roll_back()
            if isinstance(err, sqlite3.Error):
                self._suspect = True
                self._corrupt = getattr(err, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
                raise StorageError("ledger", err) from err
            raise
        self.log.end_commit(self._db.total_changes - before)
        if durable:
            self._check_disk()
        self._bound_log()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only the changes of the block if it raises. For use inside a transaction."""
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

    def doubt(self) -> None:
        """Record that another part saw an error of the disk, so the log may be damaged. Call it from any thread."""
        self._suspect = True

    def _open(self, *, create: bool) -> sqlite3.Connection:
        """Open the file. Without `create` it must exist, because a new file in its place would be another ledger."""
        mode = "rwc" if create else "rw" if self._writable else "ro"
        if self._writable:
            self._protect(create=create)
        try:
            with ExitStack() as undo:
                uri = f"{self.path.absolute().as_uri()}?mode={mode}"
                db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
                undo.callback(db.close)
                db.text_factory = legible
                found = schema.version(db)
                if found > schema.VERSION:
                    newer = ValueError(f"written by a newer version ({found} > {schema.VERSION})")
                    raise StorageError(f"ledger {self.path}", newer)
                if self._writable:
                    self._prepare(db)
                undo.pop_all()
        except sqlite3.Error as err:
            raise StorageError(f"ledger {self.path}", err) from err
        return db

    def _protect(self, *, create: bool) -> None:
        """Set the mode of the file without regard to the umask: the owner writes, the group reads."""
        with suppress(OSError):  # SQLite reports an error of the file later
            if self.path.exists():
                self.path.chmod(self.path.stat().st_mode & 0o640)
            elif create:  # SQLite gives its log the same mode
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))

    def _prepare(self, db: sqlite3.Connection) -> None:
        self._synchronous = ""
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA cache_size = -2000")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # every checkpoint goes through `self.log`
        schema.bring_up(db)
        totals.start_counting(db)
        self._counts = totals.counted(db)
        if self._by_kind:
            open_kinds.start_counting(db)
            self._kinds = open_kinds.counted(db)

    def _repair(self) -> None:
        """Repair the damage of an earlier disk error. Raises StorageError, sqlite3.Error."""
        if self._stuck:
            self.close()
            self._db = self._open(create=False)
            self._stuck = False
        if self._suspect:
            self._empty_log()
        if self._corrupt:
            self._corrupt = False
            with suppress(sqlite3.Error):
                self._db.execute("REINDEX")

    def _check_disk(self) -> None:
        """Raise StorageError if the file system has stopped writing, which SQLite may not have noticed."""
        try:
            check_writable(self.path)
        except OSError as err:
            self._suspect = True
            raise StorageError("ledger", err) from err

    def _roll_back(self) -> None:
        """End a failed transaction. If the disk refuses that too, the connection must be opened again."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._stuck = True

    def _bound_log(self) -> None:
        """Make a checkpoint here if the checkpointer cannot keep up, so that the log does not grow without a limit."""
        if self.log.overlong:
            try:
                self.log.shorten(self._db)
            except sqlite3.Error:
                self._suspect = True

    def _sync(self, how: str) -> None:
        if how != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {how}")
            self._synchronous = how

    def _empty_log(self) -> None:
        """Copy the whole write-ahead log into the file, synced. Raises sqlite3.Error."""
        self._sync("FULL")
        if not self.log.empty(self._db):
            raise sqlite3.OperationalError("the log could not be emptied after an error of the disk")
        self._suspect = False
