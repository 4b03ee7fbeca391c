"""Sets a broken ledger aside, rebuilds it from all sources, and reports that.

Nothing is deleted. The new ledger gets the readable rows of the broken file first, then further rows of its copy. The
gateway adds a row for a result without one when it runs, and for a job that only the broker has when the job ends. The
new file is complete and durable before the old one is moved, so the next start can continue after a power cut.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edge.core import durable
from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.ledger import schema
from edge.ledger.recovery.damage import EMPTY, damage, opened
from edge.ledger.recovery.schedules import keep_schedules
from edge.ledger.rows import POWERS, STATES, JobRow
from edge.ledger.writer import LedgerWriter
from edge.model import InputFile, JobState, Power, is_job_id
from edge.results.store import Results

log = logging.getLogger(__name__)

_CHECK_S = 10.0
_READ_S = 60.0  # time limit for reading a broken file
_STRIDE = 512  # rows read at once; after an error the rows are read in halves
_NEW, _WHY = "rescued.sqlite", "WHY.txt"
_COLUMNS = JobRow.__struct_fields__
#: A row of a damaged file. It is `Any`, because its columns may hold anything.
Row = dict[str, Any]


def rebuild(layout: Layout) -> None:
    """Rebuild the ledger if it is broken or missing, or finish an interrupted rebuild. Raises StorageError.

    The caller holds the gateway's lock, and nothing has opened the ledger yet.
    """
    if (layout.restoring / "READY").exists():
        half = BlockingIOError("a restore was interrupted; `edge restore` with any backup brings it to its end")
        raise StorageError(f"state root {layout.root}", half)
    try:
        for aside in sorted(layout.root.glob("ledger.set-aside-*")):
            if (aside / _NEW).exists():
                _exchange(layout, aside)  # a power cut interrupted the last rebuild
        why = _wrong(layout)
        if why:
            log.critical("the ledger cannot be used: %s", why)
            _make_anew(layout, why)
    except (OSError, sqlite3.Error) as err:
        raise StorageError(f"rebuilding the ledger {layout.ledger}", err) from err


def tell_missing(layout: Layout) -> None:
    """Report a lost ledger of which only the broker's store has a trace, as a rebuild does. Raises StorageError."""
    text = (
        f"The ledger was new at {_now()} (by the board's clock), but the broker had served one before. The earlier"
        f" ledger, its copy and the results are gone, or {layout.root} is not on its usual disk. Jobs that the broker"
        " still holds run, and are in the ledger again when they end. All other jobs are lost unless that disk comes"
        " back or a backup is restored."
    )
    log.critical("%s", text)
    aside = _unused(layout.root)
    try:
        durable.make_folder(aside)
        durable.replace(aside / _WHY, f"{text}\n".encode())
    except OSError as err:
        raise StorageError(f"note that the ledger is gone, in {aside}", err) from err


def notes(root: Path) -> list[tuple[str, str]]:
    """Return folder name and reason of each ledger that was set aside. An unreadable note is skipped."""
    found = []
    for note in sorted(root.glob(f"ledger.set-aside-*/{_WHY}")):
        try:
            found.append((note.parent.name, " ".join(note.read_text().split())))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def _wrong(layout: Layout) -> str:
    """Return what is wrong with the ledger, or an empty string if it is sound or there was never one."""
    try:
        why = damage(layout.ledger, limit_s=_CHECK_S) if layout.ledger.stat().st_size else EMPTY
    except FileNotFoundError:
        why = "the file is gone"
    else:
        if why != EMPTY:
            return why
    # An interrupted first start leaves an empty or missing file too, but then there is neither a copy nor a result.
    return why if layout.ledger_copy.exists() or any(Results(layout).ids()) else ""


def _make_anew(layout: Layout, why: str) -> None:
    aside = _unused(layout.root)
    durable.make_folder(aside)
    new = aside / f".{_NEW}.tmp"
    for path in (new, *_companions(new)):
        path.unlink(missing_ok=True)
    LedgerWriter.open(new).close()
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")  # synced as a whole, below
        schema.met(db)  # the rebuild is reported below
        db.execute("BEGIN")
        read = copied = 0
        rotten: list[Row] = []
        for row in _readable(layout.ledger):
            if row["state"] in STATES and row["power"] in POWERS:
                read += _insert(db, row)
            else:
                rotten.append(row)
        removed = Results(layout).removed
        for row in _readable(layout.ledger_copy):
            if row["state"] in STATES and row["power"] in POWERS and not removed(row["id"]):
                # It was queued at the time of the copy. The broker may have lost it since, so publish it again.
                state = "accepted" if row["state"] == JobState.QUEUED else row["state"]
                copied += _insert(db, row | {"state": state})
        for row in rotten:  # rows that the copy does not have
            state, power = STATES.get(row["state"], JobState.ACCEPTED), POWERS.get(row["power"], Power.NORMAL)
            read += _insert(db, row | {"state": state.value, "power": power.value})
        for path in (layout.ledger, layout.ledger_copy):
            keep_schedules(db, path)
            db.executemany("INSERT OR IGNORE INTO spawned (child, parent, n) VALUES (?, ?, ?)", _links(path))
            db.executemany("INSERT OR IGNORE INTO after (child, parent, n, anyway) VALUES (?, ?, ?, ?)", _edges(path))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    durable.sync_file(new)
    text = _report(layout, why, read=read, copied=copied)
    durable.replace(aside / _WHY, f"{text}\n".encode())
    new.replace(aside / _NEW)
    durable.sync_folder(aside)
    log.critical("%s", text)
    _exchange(layout, aside)


def _report(layout: Layout, why: str, *, read: int, copied: int) -> str:
    """Return the text for the owner: what the rebuild did, and which jobs may be missing."""
    try:
        made = datetime.fromtimestamp(layout.ledger_copy.stat().st_mtime, UTC).isoformat(sep=" ", timespec="minutes")
        source = f"the ledger's copy of {made}"
    except OSError:
        source = "its copy (there was none)"
    return (
        f"The ledger was set aside at {_now()} (by the board's clock): {why}. {read} jobs were read from it and"
        f" {copied} more from {source}. Further ended jobs are added from their results, and jobs that only the broker"
        " knows when they end. Jobs may be missing that were accepted after that copy, could not be read and had not"
        " reached the broker. A submitter who used an idempotency key may send such a job again."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="minutes")


def _exchange(layout: Layout, aside: Path) -> None:
    """Move the new ledger to the place of the old one. The function can be repeated after an interruption."""
    new = aside / _NEW
    if layout.ledger.exists() and new.samefile(layout.ledger):  # done before; a power cut brought the old name back
        new.unlink()
        durable.sync_folder(aside)
        return
    for path in (layout.ledger, *_companions(layout.ledger)):
        if path.exists():
            path.rename(aside / path.name)
    durable.sync_folder(aside)
    durable.sync_folder(layout.root)
    new.replace(layout.ledger)
    durable.sync_folder(layout.root)
    durable.sync_folder(aside)


def _companions(ledger: Path) -> tuple[Path, Path]:
    """Return the write-ahead log of a ledger and its index. A ledger is not complete without its log."""
    return ledger.with_name(f"{ledger.name}-wal"), ledger.with_name(f"{ledger.name}-shm")


def _unused(root: Path) -> Path:
    """Return a numbered folder that is not used yet. Its name has no date, because the clock may be wrong."""
    number = 1
    while (root / f"ledger.set-aside-{number}" / _WHY).exists():
        number += 1
    return root / f"ledger.set-aside-{number}"


def _insert(db: sqlite3.Connection, row: Row) -> int:
    """Insert a row. Return 1 if it is new to `db`, else 0."""
    columns = [name for name in _COLUMNS if name in row]
    marks = ",".join("?" * len(columns))
    sql = f"INSERT OR IGNORE INTO job ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - names from the record
    try:
        return db.execute(sql, [row[name] for name in columns]).rowcount
    except sqlite3.IntegrityError:  # a value of the wrong type, or NULL, which no sound row has
        return 0


def _readable(path: Path) -> Iterator[Row]:
    """Yield every row of the file that can be read and is plausible, oldest first."""
    until = time.monotonic() + _READ_S
    try:
        if not path.exists() or not path.stat().st_size:  # SQLite removes the log of an empty file
            return
        with closing(opened(path)) as db:
            db.execute("PRAGMA writable_schema = 1")  # a broken index does not keep the table from being read
            present = {row[1] for row in db.execute("PRAGMA table_info(job)")}
            columns = [name for name in _COLUMNS if name in present]
            if "id" not in columns:
                return
            sql = f"SELECT {','.join(columns)} FROM job WHERE seq BETWEEN ? AND ?"  # noqa: S608 - as above
            spans = [(1, _newest(db))]
            while spans and time.monotonic() < until:
                first, last = spans.pop()
                if last - first >= _STRIDE:
                    spans += [(first + _STRIDE, last), (first, first + _STRIDE - 1)]
                    continue
                try:
                    rows = [dict(zip(columns, row, strict=True)) for row in db.execute(sql, (first, last))]
                except sqlite3.Error:
                    if last > first:
                        middle = (first + last) // 2
                        spans += [(middle + 1, last), (first, middle)]
                    continue
                yield from filter(_possible, rows)
    except sqlite3.Error as err:
        log.warning("%s cannot be read: %s", path, err)


def _links(path: Path) -> list[tuple[str, str, int]]:
    """Return (child, parent, n) for the spawned jobs in the file, as far as it can be read.

    Further links are in the results of the parents. For a parent without a result they are in the files of `spawned/`.
    """
    found = list[tuple[str, str, int]]()
    try:
        if path.exists() and path.stat().st_size:
            with closing(opened(path)) as db:
                for child, parent, n in db.execute("SELECT child, parent, n FROM spawned"):
                    if is_job_id(str(child)) and is_job_id(str(parent)) and isinstance(n, int):
                        found.append((child, parent, n))
    except sqlite3.Error as err:
        log.warning("spawned jobs in %s cannot all be read: %s", path, err)
    return found


def _edges(path: Path) -> list[tuple[str, str, int, int]]:
    """Return (child, parent, n, anyway) for the jobs that wait for others, as far as the file can be read.

    The outcomes of the parents are read from their rows again later.
    """
    found = list[tuple[str, str, int, int]]()
    try:
        if path.exists() and path.stat().st_size:
            with closing(opened(path)) as db:
                for child, parent, n, anyway in db.execute("SELECT child, parent, n, anyway FROM after"):
                    if is_job_id(str(child)) and isinstance(n, int) and (n < 0 or is_job_id(str(parent))):
                        found.append((child, parent, n, int(bool(anyway))))
    except sqlite3.Error as err:
        log.warning("jobs that wait for others in %s cannot all be read: %s", path, err)
    return found


def _newest(db: sqlite3.Connection) -> int:
    """Return the highest `seq`, or a number that is high enough if it cannot be read."""
    try:
        return int(db.execute("SELECT coalesce(max(seq), 0) FROM job").fetchone()[0])
    except sqlite3.Error:
        return 1 << 22


def _possible(row: Row) -> bool:
    """Return True if the row can be a real job: SQLite also returns rows whose bytes were damaged inside a page."""
    try:
        args, kwargs = msgspec.json.decode(row["arguments"])
        if row.get("files") is not None:
            msgspec.json.decode(row["files"], type=dict[str, InputFile])
        return is_job_id(row["id"]) and isinstance(args, list) and isinstance(kwargs, dict)
    except (ValueError, TypeError, RecursionError):
        return False
