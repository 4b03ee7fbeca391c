"""Keeps running counts of the open jobs by kind and power class, in the connection that writes.

Only a board that scales its workers counts them. A job that waits for a retry counts from the time at which the retry
is due, because the ledger then has it as `accepted` again.
"""

from __future__ import annotations

import sqlite3

import msgspec

_OPEN = "{row}.state IN ('accepted', 'queued')"
_OLD, _NEW = _OPEN.format(row="old"), _OPEN.format(row="new")
_MORE = f"""
    INSERT INTO open_kind SELECT new.task, new.power, 0 WHERE {_NEW}
        AND NOT EXISTS (SELECT 1 FROM open_kind WHERE task = new.task AND power = new.power);
    UPDATE open_kind SET jobs = jobs + 1 WHERE task = new.task AND power = new.power AND {_NEW};
"""  # noqa: S608 - constants alone
_LESS = f"""
    UPDATE open_kind SET jobs = jobs - 1 WHERE task = old.task AND power = old.power AND {_OLD};
"""  # noqa: S608 - constants alone
# No `ON CONFLICT` inside a trigger: SQLite replaces it by the clause of the statement that fires the trigger.
_MAKE = f"""
CREATE TEMP TABLE open_kind (task TEXT, power TEXT, jobs INTEGER NOT NULL, PRIMARY KEY (task, power)) WITHOUT ROWID;
INSERT INTO open_kind SELECT task, power, count(*) FROM main.job WHERE state IN ('accepted', 'queued')
    GROUP BY task, power;
CREATE TEMP TRIGGER open_kind_more AFTER INSERT ON main.job WHEN {_NEW} BEGIN
{_MORE}END;
CREATE TEMP TRIGGER open_kind_less AFTER DELETE ON main.job WHEN {_OLD} BEGIN
{_LESS}END;
CREATE TEMP TRIGGER open_kind_moved AFTER UPDATE OF state, power ON main.job
    WHEN ({_OLD}) <> ({_NEW}) OR old.power <> new.power BEGIN
{_LESS}{_MORE}END;
"""  # noqa: S608 - constants alone


class OpenKind(msgspec.Struct, frozen=True):
    """The number of open jobs of one kind and power class."""

    task: str
    power: str  # as stored in the ledger; in a damaged row it may be another text
    jobs: int


def start_counting(db: sqlite3.Connection) -> None:
    """Count the rows once, and then count each change that this connection makes. Raises sqlite3.Error."""
    db.executescript(_MAKE)


def counted(db: sqlite3.Connection) -> tuple[OpenKind, ...]:
    """Return the counts as this connection sees them, the largest group first. Raises sqlite3.Error."""
    rows = db.execute("SELECT task, power, jobs FROM open_kind WHERE jobs > 0 ORDER BY jobs DESC, task, power")
    return tuple(OpenKind(*row) for row in rows)
