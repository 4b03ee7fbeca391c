"""Searches the ledger for a person, newest job first, within a time limit. The answer says where to continue."""

from __future__ import annotations

import time

import msgspec

from edge.ledger.connection import Connection
from edge.ledger.rows import LEAN, STATES, JobRow, SqlValue, job_of
from edge.model import JobState, Power

#: Rows that one statement reads: in the first statement, and at most. After a quick statement the next one reads more.
_FIRST_SPAN, _MOST_SPAN = 2_000, 16_000
_QUICK_S = 0.02


class Wanted(msgspec.Struct, frozen=True):
    """The filters of a search. A filter that is empty or None excludes no job."""

    states: tuple[JobState, ...] = ()  # stored states; `running` is not stored
    task: str = ""
    submitter: str | None = None
    text: str = ""  # text that the id, the arguments or the error must contain
    since: float | None = None  # accepted at that time or later
    until: float | None = None  # accepted before

    @property
    def everything(self) -> bool:
        """True if no filter is set."""
        return self == _EVERYTHING


_EVERYTHING = Wanted()


class Found(msgspec.Struct, frozen=True):
    """The jobs that were found, and where a further search continues."""

    rows: tuple[JobRow, ...]
    before_seq: int | None  # continue with jobs older than this; None if all jobs were searched
    complete: bool  # False if the time was over before the list was full


class Search:
    """Searches over the connection of a reader. Not thread-safe. All methods raise StorageError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, wanted: Wanted, *, before_seq: int | None = None, limit: int, budget_s: float) -> Found:
        """Return jobs older than `before_seq`, newest first, after a search of about `budget_s` seconds."""
        # Two subqueries, because one SELECT with both max and min would read the whole table.
        ends = "SELECT coalesce((SELECT max(seq) FROM job), 0), coalesce((SELECT min(seq) FROM job), 1)"
        newest, oldest = self._connection.query(ends)[0]
        top = min(newest + 1, before_seq if before_seq is not None else newest + 1)
        rows: list[JobRow] = []
        span, began = _FIRST_SPAN, time.monotonic()
        while top > oldest:
            low, at = max(oldest, top - span), time.monotonic()
            rows += self._between(wanted, low, top, limit - len(rows))
            if len(rows) >= limit:
                more = rows[-1].seq > oldest
                return Found(tuple(rows), rows[-1].seq if more else None, complete=True)
            top, now = low, time.monotonic()
            if now - began > budget_s and top > oldest:
                return Found(tuple(rows), top, complete=False)
            if now - at < _QUICK_S:
                span = min(2 * span, _MOST_SPAN)
        return Found(tuple(rows), None, complete=True)

    def _between(self, wanted: Wanted, low: int, top: int, limit: int) -> list[JobRow]:
        where, values = _conditions(wanted, low, top)
        # No index has text and time, so a search for them reads the rows in order. One index answers all other filters.
        by_index = wanted.task or wanted.submitter is not None
        if not wanted.states and (not by_index or wanted.text or wanted.since or wanted.until):
            sql = f"SELECT {LEAN} FROM job NOT INDEXED WHERE {where} ORDER BY seq DESC LIMIT ?"
            return [job_of(row) for row in self._connection.query(sql, (*values, limit))]
        stored = [text for text, state in STATES.items() if not wanted.states or state in wanted.states]
        parts = (f"SELECT seq FROM job INDEXED BY job_state WHERE state = '{state}' AND {where}" for state in stored)
        sql = f"{' UNION ALL '.join(parts)} ORDER BY seq DESC LIMIT ?"
        found = [row[0] for row in self._connection.query(sql, (*values * len(stored), limit))]
        if not found:
            return []
        sql = f"SELECT {LEAN} FROM job WHERE seq IN ({','.join('?' * len(found))}) ORDER BY seq DESC"
        return [job_of(row) for row in self._connection.query(sql, found)]

    def first_waiting(self, power: Power, *, limit: int) -> list[JobRow]:
        """Return the oldest jobs of a power class that wait for a worker, at most `limit`."""
        parts = (
            f"SELECT seq FROM job INDEXED BY job_state WHERE state = '{state}' AND power = ?"
            for state in (JobState.QUEUED, JobState.ACCEPTED)
        )
        sql = f"{' UNION ALL '.join(parts)} ORDER BY seq LIMIT ?"
        found = [row[0] for row in self._connection.query(sql, (power.value, power.value, limit))]
        sql = f"SELECT {LEAN} FROM job WHERE seq IN ({','.join('?' * len(found))}) ORDER BY seq"
        return [job_of(row) for row in self._connection.query(sql, found)]

    def by_kind(self) -> dict[str, dict[JobState, int]]:
        """Return the number of jobs by kind and state."""
        counts: dict[str, dict[JobState, int]] = {}
        sql = "SELECT task, state, count(*) FROM job INDEXED BY job_state GROUP BY task, state"
        for task, state, count in self._connection.query(sql):
            if state in STATES:  # skip a damaged state
                of_kind = counts.setdefault(task, {})
                of_kind[STATES[state]] = of_kind.get(STATES[state], 0) + count
        return counts

    def latest_of_kinds(self, *, each: int, among: int) -> dict[str, list[str]]:
        """Return ids of the newest succeeded jobs of each kind.

        Args:
            each: the most ids for one kind.
            among: how many of the newest succeeded jobs of all kinds are searched.
        """
        rows = self._connection.query(
            "SELECT task, seq FROM job INDEXED BY job_state WHERE state = 'succeeded' ORDER BY seq DESC LIMIT ?",
            (among,),
        )
        newest: dict[str, list[int]] = {}
        for task, seq in rows:
            of_kind = newest.setdefault(task, [])
            if len(of_kind) < each:
                of_kind.append(seq)
        ids: dict[str, list[str]] = {}
        for task, seqs in newest.items():
            sql = f"SELECT id FROM job WHERE seq IN ({','.join('?' * len(seqs))})"
            ids[task] = [row[0] for row in self._connection.query(sql, seqs)]
        return ids


def _conditions(wanted: Wanted, low: int, top: int) -> tuple[str, list[SqlValue]]:
    where, values = ["seq >= ?", "seq < ?"], list[SqlValue]([low, top])
    for column, value in (("task", wanted.task or None), ("submitter", wanted.submitter)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if wanted.since is not None:
        where.append("accepted_at >= ?")
        values.append(wanted.since)
    if wanted.until is not None:
        where.append("accepted_at < ?")
        values.append(wanted.until)
    if wanted.text:
        # The arguments are JSON, in which a quotation mark has a backslash before it.
        in_json = msgspec.json.encode(wanted.text).decode()[1:-1]
        where.append(
            r"(id LIKE ? ESCAPE '\' OR message LIKE ? ESCAPE '\' OR CAST(arguments AS TEXT) LIKE ? ESCAPE '\')"
        )
        values += [_pattern(wanted.text), _pattern(wanted.text), _pattern(in_json)]
    return " AND ".join(where), values


def _pattern(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
