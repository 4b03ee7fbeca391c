"""Checks the ledger's file for damage, at each start of the gateway before a job is accepted."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge.core.errors import StorageError
from edge.ledger.rows import ODD_POWER, ODD_STATE, legible

log = logging.getLogger(__name__)

EMPTY = "the file holds nothing"
#: SQLite's error codes for a broken file, not for one that is locked or cannot be opened. An unreadable place on the
#: card counts as broken: it stays unreadable, and if the whole disk fails no new ledger can be written anyway.
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})
_ROTTEN = f"SELECT id, state, power FROM job NOT INDEXED WHERE {ODD_STATE} OR {ODD_POWER} LIMIT 100"


def opened(path: Path) -> sqlite3.Connection:
    """Return a read-only connection, which makes no checkpoint either. Raises sqlite3.Error."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    db.text_factory = legible
    return db


@contextmanager
def limited(db: sqlite3.Connection, limit_s: float) -> Iterator[None]:
    """Make statements inside the block raise sqlite3.OperationalError (SQLITE_INTERRUPT) after `limit_s`."""
    timer = threading.Timer(limit_s, db.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def broken(err: sqlite3.Error) -> bool:
    """True when the error means that the content of the file is damaged."""
    code = getattr(err, "sqlite_errorcode", 0)
    return code & 0xFF in _BROKEN or code in _UNREADABLE


def damage(path: Path, *, limit_s: float) -> str:
    """Return what is wrong with the ledger at `path`, in words; empty when SQLite's quick check finds nothing.

    100,000 jobs in 45 MiB take 0.05 s in memory; a card reads about 40 MiB/s. What was not checked within `limit_s`
    counts as sound. A file without the table of jobs is damaged too, because a torn write leaves an empty file. Raises
    StorageError when the disk cannot be read.
    """
    try:
        with closing(opened(path)) as db:
            with limited(db, limit_s):
                found = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
            if found != ["ok"]:
                return "; ".join(" ".join(text.split()) for text in found)
            jobs = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'job'").fetchone()[0]
            return "" if jobs else EMPTY
    except sqlite3.Error as err:
        if getattr(err, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            log.warning("the ledger is too large to be checked in %g s; what was read of it is sound", limit_s)
            return ""
        if broken(err):
            return str(err)
        raise StorageError(f"ledger {path}", err) from err


def rot(path: Path, *, limit_s: float) -> list[str]:
    """Return the damaged rows of a ledger, in words: an unknown state or power class, or an index that disagrees.

    `LedgerWriter.repair_rows` repairs them. Takes 0.5 s for 100,000 jobs; what was not checked within `limit_s` counts
    as sound. Raises StorageError.
    """
    found: list[str] = []
    try:
        with closing(opened(path)) as db, limited(db, limit_s):
            found += [f"job {job}: state {state!r}, power {power!r}" for job, state, power in db.execute(_ROTTEN)]
            found += [row[0] for row in db.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
    except sqlite3.Error as err:
        if getattr(err, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
            raise StorageError(f"ledger {path}", err) from err
    return found
