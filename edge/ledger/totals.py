"""Keeps running totals of the ledger in memory, in the connection that writes.

Temporary triggers of that connection count in each transaction, so a rollback undoes the count too. With the totals
neither a status page nor the retention reads the whole table. They cost the card no write.
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
# A damaged power class counts as `normal`, the same as in `job_of`.
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
    """The counts of the ledger at its last commit."""

    jobs: Mapping[JobState, int]  # number of jobs by state; states without a job are missing
    finished_bytes: int  # size of all results without a request to remove
    waiting: int = 0  # accepted jobs that wait in the ledger, for their time or for others
    backlog: Mapping[Power, int] = MappingProxyType({})  # other open jobs by power class; has every class

    @property
    def open_jobs(self) -> int:
        """The number of jobs without a result."""
        return sum(self.jobs.get(state, 0) for state in OPEN)


#: State, power class, number of jobs with both, and size of their results in bytes.
Count = tuple[str, str, int, int]


def start_counting(db: sqlite3.Connection) -> None:
    """Count the rows once, and then count each change that this connection makes. Raises sqlite3.Error."""
    db.executescript(_MAKE)


def counted(db: sqlite3.Connection) -> list[Count]:
    """Return the counts, including changes of the present transaction. Raises sqlite3.Error."""
    return db.execute("SELECT state, power, jobs, bytes FROM total WHERE jobs").fetchall()


def of(counts: list[Count]) -> Totals:
    """Return the totals of these counts."""
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


def open_in(counts: list[Count]) -> int:
    """Return the number of jobs without a result in these counts. It costs a tenth of `of`."""
    return sum(jobs for state, _, jobs, _ in counts if state in OPEN_STORED)


def open_jobs(db: sqlite3.Connection) -> int:
    """Return the number of jobs without a result, faster than by all totals. Raises sqlite3.Error."""
    count: int = db.execute(_OPEN_JOBS).fetchone()[0]
    return count
