"""Makes the copy of the ledger on the same disk, from which a broken ledger is rebuilt.

A copy is written completely, then synced, then renamed. Jobs that are newer than the copy are recovered from the broken
file itself, from the results and from the broker's queues (`rebuild.py`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.errors import StorageError
from edge.ledger.recovery.damage import limited, opened

_SPARE_BYTES = 64 << 20  # free space that must remain on the disk after a copy
_MARK = (
    "SELECT coalesce(max(seq), 0), count(*), coalesce(sum(state NOT IN ('succeeded', 'failed', 'cancelled')), 0),"
    " coalesce(sum(remove), 0), (SELECT count(*) FROM schedule), (SELECT coalesce(sum(cursor), 0) FROM schedule)"
    " FROM job"
)


class CopyMark(msgspec.Struct, frozen=True):
    """A summary of a ledger: two equal marks mean that a new copy is not worth its writes."""

    newest: int
    jobs: int
    open_jobs: int
    leaving: int
    schedules: int = 0
    decided: int = 0  # sum of the cursors of all schedules; every change and every slot moves a cursor


def mark(path: Path) -> CopyMark | None:
    """Return the mark of a ledger or of a copy, or None if it cannot be read."""
    try:
        with closing(opened(path)) as db:
            return CopyMark(*db.execute(_MARK).fetchone())
    except sqlite3.Error:
        return None


def copy(ledger: Path, target: Path, *, limit_s: float = 600.0, stop: threading.Event | None = None) -> int:
    """Make `target` a copy of the ledger, which may be in use, and return its size in bytes.

    The copy is durable on return. A power cut leaves the old copy or the new one. Blocks for up to `limit_s`.

    Raises:
        StorageError: the ledger cannot be read, `limit_s` is over, or another thread has set `stop`. The old copy
            stays.
    """
    temp = target.with_name(f".{target.name}.tmp")
    try:
        size = ledger.stat().st_size
        disk = os.statvfs(target.parent)
        if disk.f_bavail * disk.f_frsize < size + _SPARE_BYTES:
            raise OSError(errno.ENOSPC, "no room for a copy of the ledger")
        temp.unlink(missing_ok=True)
        try:
            with closing(opened(ledger)) as db, limited(db, limit_s):
                if stop is not None:
                    db.set_progress_handler(stop.is_set, 1000)
                db.execute("VACUUM INTO ?", (os.fspath(temp),))
            temp.chmod(0o640)
            durable.sync_file(temp)
            temp.replace(target)
            durable.sync_folder(target.parent)
        finally:
            temp.unlink(missing_ok=True)
        return target.stat().st_size
    except (OSError, sqlite3.Error) as err:
        raise StorageError(f"copy of the ledger {target}", err) from err
