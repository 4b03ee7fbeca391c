"""A ledger whose file is broken or gone: set aside, made again from all that is known, and told of.

Nothing is deleted. What can be read of the broken file comes first, then what its copy has beside that; results without
a row are adopted once the gateway runs, and so are jobs that only the broker knows, when they end. The new file is
complete and durable before the old one is moved, so that a cut at any moment is gone on from.
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
from edge.ledger.rows import POWERS, STATES, JobRow
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, is_job_id
from edge.results.store import Results

log = logging.getLogger(__name__)

_CHECK_S = 10.0
_READ_S = 60.0  # a broken file of any size is read no longer than this
_STRIDE = 512  # rows read at once; where that fails, half as many
_NEW, _WHY = "rescued.sqlite", "WHY.txt"
_COLUMNS = JobRow.__struct_fields__
#: `Any`: columns of a file that is damaged may hold anything.
Row = dict[str, Any]


def rebuild(layout: Layout) -> None:
    """See to it that the ledger can be opened and holds what can be known. Raises StorageError.

    Called with the gateway's lock held, before anything opens the ledger.
    """
    if (layout.restoring / "READY").exists():
        half = BlockingIOError("a restore was interrupted; `edge restore` with any backup brings it to its end")
        raise StorageError(f"state root {layout.root}", half)
    try:
        for aside in sorted(layout.root.glob("ledger.set-aside-*")):
            if (aside / _NEW).exists():
                _exchange(layout, aside)  # the power went before the last one was through
        why = _wrong(layout)
        if why:
            log.critical("the ledger cannot be used: %s", why)
            _make_anew(layout, why)
    except (OSError, sqlite3.Error) as err:
        raise StorageError(f"rebuilding the ledger {layout.ledger}", err) from err


def tell_missing(layout: Layout) -> None:
    """Say, where a rebuild says it, that there was a ledger of which nothing is left here: only the broker knows it."""
    text = (
        f"The ledger was new at {_now()}, as far as the board knew the time, but the broker had served one before: that"
        f" one, its copy and the results are gone, or {layout.root} is not on the disk that it was on. Jobs that the"
        " broker still holds run, and get their rows when they end; all else is lost unless that disk comes back or a"
        " backup is restored."
    )
    log.critical("%s", text)
    aside = _unused(layout.root)
    try:
        durable.make_folder(aside)
        durable.replace(aside / _WHY, f"{text}\n".encode())
    except OSError as err:
        raise StorageError(f"note that the ledger is gone, in {aside}", err) from err


def notes(root: Path) -> list[tuple[str, str]]:
    """(folder, why) of each ledger that was set aside and is still there; one that cannot be read says nothing."""
    found = []
    for note in sorted(root.glob(f"ledger.set-aside-*/{_WHY}")):
        try:
            found.append((note.parent.name, " ".join(note.read_text().split())))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def _wrong(layout: Layout) -> str:
    """What is wrong with the ledger; empty when all is well, or when there was never one."""
    try:
        why = damage(layout.ledger, limit_s=_CHECK_S) if layout.ledger.stat().st_size else EMPTY
    except FileNotFoundError:
        why = "the file is gone"
    else:
        if why != EMPTY:
            return why
    # A first start that a cut ended leaves the same; but then nothing was ever done.
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
        schema.met(db)  # it is told of below
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
                # Open at the time of the copy: whoever has it by now, the broker or nobody, gets it once more.
                state = "accepted" if row["state"] == JobState.QUEUED else row["state"]
                copied += _insert(db, row | {"state": state})
        for row in rotten:  # what no copy knows better
            state, power = STATES.get(row["state"], JobState.ACCEPTED), POWERS.get(row["power"], Power.NORMAL)
            read += _insert(db, row | {"state": state.value, "power": power.value})
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
    """What was done and what may be missing, for whoever looks."""
    try:
        made = datetime.fromtimestamp(layout.ledger_copy.stat().st_mtime, UTC).isoformat(sep=" ", timespec="minutes")
        source = f"the ledger's copy of {made}"
    except OSError:
        source = "a copy, of which there is none"
    return (
        f"The ledger was set aside at {_now()}, as far as the board knew the time: {why}. {read} jobs were read from it"
        f" and {copied} more from {source}. Ended jobs without a row are taken in from their results, and jobs that"
        " only the broker knows when they end. Missing may be: jobs accepted after that copy that neither could be read"
        " nor had reached the broker; who sent them with an idempotency key may send them again."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="minutes")


def _exchange(layout: Layout, aside: Path) -> None:
    """Put the new ledger in the place of the old; to be repeated until it went through."""
    new = aside / _NEW
    if layout.ledger.exists() and new.samefile(layout.ledger):  # it is there; only its old name came back
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
    """The write-ahead log and its index: without the former a ledger is not whole."""
    return ledger.with_name(f"{ledger.name}-wal"), ledger.with_name(f"{ledger.name}-shm")


def _unused(root: Path) -> Path:
    """A folder by number: the clock may have been wrong each time."""
    number = 1
    while (root / f"ledger.set-aside-{number}" / _WHY).exists():
        number += 1
    return root / f"ledger.set-aside-{number}"


def _insert(db: sqlite3.Connection, row: Row) -> int:
    """1 when the row is new to `db`."""
    columns = [name for name in _COLUMNS if name in row]
    marks = ",".join("?" * len(columns))
    sql = f"INSERT OR IGNORE INTO job ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - names from the record
    try:
        return db.execute(sql, [row[name] for name in columns]).rowcount
    except sqlite3.IntegrityError:  # of a type or emptiness that no sound row has
        return 0


def _readable(path: Path) -> Iterator[Row]:
    """Every row of the file that can be read and can be true, oldest first."""
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


def _newest(db: sqlite3.Connection) -> int:
    """The highest number a job has; where the file does not tell, one that is high enough."""
    try:
        return int(db.execute("SELECT coalesce(max(seq), 0) FROM job").fetchone()[0])
    except sqlite3.Error:
        return 1 << 22


def _possible(row: Row) -> bool:
    """True when the row can be one of ours: bytes that rotted inside a page are still a row to SQLite."""
    try:
        args, kwargs = msgspec.json.decode(row["arguments"])
        return is_job_id(row["id"]) and isinstance(args, list) and isinstance(kwargs, dict)
    except (ValueError, TypeError, msgspec.DecodeError):
        return False
