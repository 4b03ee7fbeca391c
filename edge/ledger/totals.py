"""Running totals over the ledger, kept in memory by the connection that writes it.

Triggers of the connection's own count along in each transaction, so a rollback takes the count back too, and neither
a status page nor the retention ever reads the whole table; nothing of it costs the card a write.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from edge.ledger.rows import STATES, WAITING
from edge.model import JobState, Power

OPEN = (JobState.ACCEPTED, JobState.QUEUED, JobState.RETRYING)

#: The stored states of open jobs.
OPEN_STORED = frozenset({*(state.value for state in OPEN), WAITING})
_KEPT = "CASE WHEN {row}.remove THEN 0 ELSE {row}.size_bytes END"
# A damaged class counts as normal, as `job_of` reads it.
_POWERS = ", ".join(repr(power.value) for power in Power)
_CLASS = f"CASE WHEN {{row}}.power IN ({_POWERS}) THEN {{row}}.power ELSE 'normal' END"
_OLD, _NEW, _ROW = (_KEPT.format(row=row) for row in ("old", "new", "job"))
_OF_OLD, _OF_NEW = (f"state = {row}.state AND power = {_CLASS.format(row=row)}" for row in ("old", "new"))
_MAKE = f"""
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE total (
    state TEXT NOT NULL, power TEXT NOT NULL, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (state, power)
) WITHOUT ROWID;
INSERT INTO total SELECT column1, column2, count(seq), coalesce(sum({_ROW}), 0)
    FROM (VALUES {", ".join(f"('{state}', '{power.value}')" for state in STATES for power in Power)})
    LEFT JOIN main.job ON job.state = column1 AND {_CLASS.format(row="job")} = column2
    GROUP BY column1, column2;
CREATE TEMP TRIGGER total_more AFTER INSERT ON main.job BEGIN
    UPDATE total SET jobs = jobs + 1, bytes = bytes + {_NEW} WHERE {_OF_NEW};
END;
CREATE TEMP TRIGGER total_less AFTER DELETE ON main.job BEGIN
    UPDATE total SET jobs = jobs - 1, bytes = bytes - {_OLD} WHERE {_OF_OLD};
END;
CREATE TEMP TRIGGER total_moved AFTER UPDATE OF state, power, remove, size_bytes ON main.job BEGIN
    UPDATE total SET jobs = jobs - 1, bytes = bytes - {_OLD} WHERE {_OF_OLD};
    UPDATE total SET jobs = jobs + 1, bytes = bytes + {_NEW} WHERE {_OF_NEW};
END;
"""
_OPEN_JOBS = "SELECT coalesce(sum(jobs), 0) FROM total WHERE state IN ('accepted', 'queued', 'retrying', 'waiting')"


class Totals(msgspec.Struct, frozen=True):
    """What the ledger held at its last commit."""

    jobs: Mapping[JobState, int]  # states without a job are not in it
    finished_bytes: int  # of results that nobody asked to remove
    waiting: int = 0  # accepted jobs that wait in the ledger, for their time or for others
    backlog: Mapping[Power, int] = MappingProxyType({})  # open jobs that do not wait there, by power class; all classes

    @property
    def open_jobs(self) -> int:
        """Jobs without a result."""
        return sum(self.jobs.get(state, 0) for state in OPEN)


#: State and power class, how many jobs are in both, and how many bytes their results take.
Count = tuple[str, str, int, int]


def count_along(db: sqlite3.Connection) -> None:
    """Count once what is there, and along with each change that this connection makes. Raises sqlite3.Error."""
    db.executescript(_MAKE)


def counted(db: sqlite3.Connection) -> list[Count]:
    """The counts as this connection sees them, in the middle of a transaction too. Raises sqlite3.Error."""
    return db.execute("SELECT state, power, jobs, bytes FROM total WHERE jobs").fetchall()


def of(counts: list[Count]) -> Totals:
    """The totals that these counts make."""
    jobs, backlog, size, waiting = Counter[JobState](), dict.fromkeys(Power, 0), 0, 0
    for stored, power, count, size_bytes in counts:
        state = STATES[stored]
        jobs[state] += count
        if state.final:
            size += size_bytes
        elif stored == WAITING:
            waiting += count
        else:
            backlog[Power(power)] += count
    return Totals(MappingProxyType(dict(jobs)), size, waiting, MappingProxyType(backlog))


def open_jobs(db: sqlite3.Connection) -> int:
    """As `open_jobs` of the totals at this moment, at a fraction of its cost. Raises sqlite3.Error."""
    count: int = db.execute(_OPEN_JOBS).fetchone()[0]
    return count
