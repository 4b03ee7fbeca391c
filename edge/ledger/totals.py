"""Running totals over the ledger, kept in memory by the connection that writes it.

Triggers of the connection's own count along in each transaction, so a rollback takes the count back too, and neither
a status page nor the retention ever reads the whole table; nothing of it costs the card a write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from edge.ledger.rows import STATES, WAITING
from edge.model import JobState

OPEN = (JobState.ACCEPTED, JobState.QUEUED, JobState.RETRYING)

#: The stored states of open jobs.
OPEN_STORED = frozenset({*(state.value for state in OPEN), WAITING})
_KEPT = "CASE WHEN {row}.remove THEN 0 ELSE {row}.size_bytes END"
_OLD, _NEW, _ROW = (_KEPT.format(row=row) for row in ("old", "new", "job"))
_MAKE = f"""
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE total (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO total SELECT column1, count(seq), coalesce(sum({_ROW}), 0)
    FROM (VALUES {", ".join(f"('{state}')" for state in STATES)}) LEFT JOIN main.job ON job.state = column1
    GROUP BY column1;
CREATE TEMP TRIGGER total_more AFTER INSERT ON main.job BEGIN
    UPDATE total SET jobs = jobs + 1, bytes = bytes + {_NEW} WHERE state = new.state;
END;
CREATE TEMP TRIGGER total_less AFTER DELETE ON main.job BEGIN
    UPDATE total SET jobs = jobs - 1, bytes = bytes - {_OLD} WHERE state = old.state;
END;
CREATE TEMP TRIGGER total_moved AFTER UPDATE OF state, remove, size_bytes ON main.job BEGIN
    UPDATE total SET jobs = jobs - 1, bytes = bytes - {_OLD} WHERE state = old.state;
    UPDATE total SET jobs = jobs + 1, bytes = bytes + {_NEW} WHERE state = new.state;
END;
"""
_OPEN_JOBS = "SELECT coalesce(sum(jobs), 0) FROM total WHERE state IN ('accepted', 'queued', 'retrying', 'waiting')"


class Totals(msgspec.Struct, frozen=True):
    """What the ledger held at its last commit."""

    jobs: Mapping[JobState, int]  # states without a job are not in it
    finished_bytes: int  # of results that nobody asked to remove
    waiting: int = 0  # accepted jobs that wait in the ledger, for their time or for others

    @property
    def open_jobs(self) -> int:
        """Jobs without a result."""
        return sum(self.jobs.get(state, 0) for state in OPEN)


#: State, how many jobs are in it, and how many bytes their results take.
Count = tuple[str, int, int]


def count_along(db: sqlite3.Connection) -> None:
    """Count once what is there, and along with each change that this connection makes. Raises sqlite3.Error."""
    db.executescript(_MAKE)


def counted(db: sqlite3.Connection) -> list[Count]:
    """The counts as this connection sees them, in the middle of a transaction too. Raises sqlite3.Error."""
    return db.execute("SELECT state, jobs, bytes FROM total WHERE jobs").fetchall()


def of(counts: list[Count]) -> Totals:
    """The totals that these counts make."""
    jobs = dict[JobState, int]()
    for state, count, _ in counts:
        jobs[STATES[state]] = jobs.get(STATES[state], 0) + count
    size = sum(size for state, _, size in counts if STATES[state].final)
    waiting = sum(count for state, count, _ in counts if state == WAITING)
    return Totals(MappingProxyType(jobs), size, waiting)


def open_jobs(db: sqlite3.Connection) -> int:
    """As `open_jobs` of the totals at this moment, at a fraction of its cost. Raises sqlite3.Error."""
    count: int = db.execute(_OPEN_JOBS).fetchone()[0]
    return count
