"""Creates the tables of the ledger's file, and upgrades them from each earlier version."""

from __future__ import annotations

import sqlite3

VERSION = 8

# One index serves all lists and counts. It holds every column that lists filter by, so a row that does not match is not
# read. A separate index for each filter would write one more page to the card for each job.
_BY_STATE = "CREATE INDEX job_state ON job (state, seq, power, remove, size_bytes, task, submitter, priority);"

# The links between parents and spawned jobs. They have their own table, so that other jobs cost no write for them.
_SPAWNED = """
CREATE TABLE spawned (
    child TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX spawned_of ON spawned (parent, n);
"""

# A job without such an option has no entry in these indexes and tables, so it costs no write for them.
_LATER = """
CREATE INDEX job_not_before ON job (due_at, seq) WHERE state = 'waiting' AND delay_s IS NULL;
CREATE INDEX job_delayed ON job (due_at, seq) WHERE state = 'waiting' AND delay_s IS NOT NULL;
CREATE INDEX job_ranked ON job (priority, seq, power, task) WHERE state = 'accepted' AND priority <> 5;
CREATE UNIQUE INDEX job_unique ON job (submitter, unique_key)
    WHERE unique_key IS NOT NULL AND state NOT IN ('succeeded', 'failed', 'cancelled');
CREATE TABLE after (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    n INTEGER NOT NULL,
    anyway INTEGER NOT NULL,
    outcome TEXT,
    PRIMARY KEY (child, n)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX after_of ON after (parent, child);
"""

# A schedule has a row, and a row for each of its last slots. An index holds `due_at` of all schedules, so one look
# finds the next one, for any number of schedules.
_SCHEDULES = """
CREATE TABLE schedule (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    uid TEXT NOT NULL UNIQUE,
    asked BLOB NOT NULL,
    submitter TEXT NOT NULL,
    timezone TEXT NOT NULL,
    cursor INTEGER,
    due_at REAL,
    made_at REAL NOT NULL
) STRICT;
CREATE INDEX schedule_due ON schedule (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE slot (
    schedule TEXT NOT NULL,
    first INTEGER NOT NULL,
    by_hand INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    fate TEXT NOT NULL,
    reason TEXT NOT NULL,
    job TEXT NOT NULL,
    decided_at REAL NOT NULL,
    PRIMARY KEY (schedule, first, by_hand)
) STRICT, WITHOUT ROWID;
CREATE TABLE zone_rules (rules TEXT NOT NULL) STRICT;
"""

_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE job (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    arguments BLOB NOT NULL,
    power TEXT NOT NULL,
    retries INTEGER NOT NULL,
    time_limit_s REAL,
    submitter TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    state TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    finished_at REAL,
    due_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0,
    remove INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    deadline_s REAL,
    max_temp_c REAL,
    priority INTEGER NOT NULL DEFAULT 5,
    delay_s REAL,
    clock INTEGER,
    unique_key TEXT
) STRICT;
{_BY_STATE}
CREATE INDEX job_asked ON job (seq) WHERE cancel OR remove;
CREATE INDEX job_deadline ON job (seq) WHERE deadline_s IS NOT NULL AND power = 'surplus';
{_SPAWNED}
{_LATER}
PRAGMA user_version = 5;
PRAGMA application_id = 1;
COMMIT;
"""

#: The upgrade from each version to the next, in one transaction.
_STEPS = {
    0: _TABLES,
    1: """
BEGIN IMMEDIATE;
ALTER TABLE job ADD COLUMN deadline_s REAL;
ALTER TABLE job ADD COLUMN max_temp_c REAL;
CREATE INDEX job_deadline ON job (seq) WHERE deadline_s IS NOT NULL AND power = 'surplus';
PRAGMA user_version = 2;
COMMIT;
""",
    # Older files keep an AUTOINCREMENT that is not needed any more. It costs one page in each commit, but a new table
    # would cost more.
    2: """
BEGIN IMMEDIATE;
DROP INDEX IF EXISTS job_state;
PRAGMA user_version = 3;
COMMIT;
""",
    3: f"""
BEGIN IMMEDIATE;
{_SPAWNED}
PRAGMA user_version = 4;
COMMIT;
""",
    4: f"""
BEGIN IMMEDIATE;
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 5;
ALTER TABLE job ADD COLUMN delay_s REAL;
ALTER TABLE job ADD COLUMN clock INTEGER;
ALTER TABLE job ADD COLUMN unique_key TEXT;
DROP INDEX IF EXISTS job_state;
{_BY_STATE}
{_LATER}
PRAGMA user_version = 5;
COMMIT;
""",
    5: f"""
BEGIN IMMEDIATE;
{_SCHEDULES}
PRAGMA user_version = 6;
COMMIT;
""",
    # A job without files has no entry in the index, so it costs no write for it.
    6: """
BEGIN IMMEDIATE;
ALTER TABLE job ADD COLUMN files BLOB;
CREATE INDEX job_files ON job (seq)
    WHERE files IS NOT NULL AND state NOT IN ('succeeded', 'failed', 'cancelled');
PRAGMA user_version = 7;
COMMIT;
""",
    7: """
BEGIN IMMEDIATE;
ALTER TABLE job ADD COLUMN released_seq INTEGER;
PRAGMA user_version = 8;
COMMIT;
""",
}


def version(db: sqlite3.Connection) -> int:
    """Return the version of the tables in the file, or 0 if there are none yet. Raises sqlite3.Error."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found


def unmet(db: sqlite3.Connection) -> bool:
    """Return True until this new file has been compared with the broker's store, see `met`. Raises sqlite3.Error."""
    return bool(db.execute("PRAGMA application_id").fetchone()[0])


def met(db: sqlite3.Connection) -> None:
    """Record that the file has been compared with the broker's store. Raises sqlite3.Error."""
    db.execute("PRAGMA application_id = 0")


def bring_up(db: sqlite3.Connection) -> None:
    """Create the tables, or upgrade them to this version step by step. Raises sqlite3.Error."""
    while (found := version(db)) < VERSION:
        db.executescript(_STEPS[found])
