"""Copies schedules and the record of their slots from a broken ledger, or from its copy, into a new ledger.

A schedule from the copy may be older than the lost one. Then some of its slots are decided again. Their jobs get the
same ids as before, so none of them runs twice.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from edge.ledger.recovery.damage import opened
from edge.model import Fate, Schedule, is_schedule_name

log = logging.getLogger(__name__)

_SCHEDULE = "name, uid, asked, submitter, timezone, cursor, due_at, made_at"
_SLOT = "schedule, first, by_hand, last, count, fate, reason, job, decided_at"
_FATES = frozenset(fate.value for fate in Fate)


def keep_schedules(db: sqlite3.Connection, source: Path) -> None:
    """Copy the schedules of `source` that `db` does not have, as far as they can be read. Raises sqlite3.Error."""
    try:
        if not source.exists() or not source.stat().st_size:
            return
        with closing(opened(source)) as broken:
            if not broken.execute("SELECT 1 FROM sqlite_master WHERE name = 'schedule'").fetchone():
                return
            schedules = [row for row in broken.execute(f"SELECT {_SCHEDULE} FROM schedule") if _sound(row)]
            slots = [row for row in broken.execute(f"SELECT {_SLOT} FROM slot") if row[5] in _FATES]
    except sqlite3.Error as err:
        log.warning("schedules in %s cannot all be read: %s", source, err)
        return
    _put(db, "schedule", _SCHEDULE, schedules)
    _put(db, "slot", _SLOT, slots)


def _put(db: sqlite3.Connection, table: str, columns: str, rows: list[tuple[object, ...]]) -> None:
    marks = ",".join("?" * len(columns.split(", ")))
    for row in rows:
        try:
            db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)
        except sqlite3.IntegrityError:  # a value of the wrong type, which no sound row has
            continue


def _sound(row: tuple[object, ...]) -> bool:
    name, asked = row[0], row[2]
    if not (isinstance(name, str) and is_schedule_name(name) and isinstance(asked, bytes)):
        return False
    try:
        msgspec.json.decode(asked, type=Schedule)
    except (ValueError, RecursionError):
        return False
    return True
