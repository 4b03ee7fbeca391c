"""Search of the ledger for a person: newest first, bounded in time, with an answer that says how far it came."""

from __future__ import annotations

import time

import msgspec

from edge.ledger.connection import Connection
from edge.ledger.rows import LEAN, STATES, JobRow, SqlValue, job_of
from edge.model import JobState, Power

#: Rows looked at in one statement: at first, and at most. The next one looks at more when this one was quick.
_FIRST_SPAN, _MOST_SPAN = 2_000, 16_000
_QUICK_S = 0.02


class Wanted(msgspec.Struct, frozen=True):
    """Which jobs are looked for. What is empty or None leaves nothing out."""

    states: tuple[JobState, ...] = ()  # stored ones: `running` is not
    task: str = ""
    submitter: str | None = None
    text: str = ""  # in the id, the arguments or the error
    since: float | None = None  # accepted at that time or later
    until: float | None = None  # accepted before

    @property
    def everything(self) -> bool:
        """True when nothing is left out."""
        return self == _EVERYTHING


_EVERYTHING = Wanted()


class Found(msgspec.Struct, frozen=True):
    """What was found, and from where to go on; `before_seq` None: everything was looked at."""

    rows: tuple[JobRow, ...]
    before_seq: int | None
    complete: bool  # False: the time ended before the list was full


class Search:
    """Queries over the connection of a reader. Not thread-safe. All methods raise StorageError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, wanted: Wanted, *, before_seq: int | None = None, limit: int, budget_s: float) -> Found:
        """Return jobs older than `before_seq`, newest first, looking for about `budget_s`."""
        # Two statements in one: together in one SELECT, max and min would read the whole table.
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
        # Text and time are in no index, so their rows are read in order; all else one index answers by itself.
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
        """The oldest jobs of a power class that wait for a worker, at most `limit`."""
        parts = (
            f"SELECT seq FROM job INDEXED BY job_state WHERE state = '{state}' AND power = ?"
            for state in (JobState.QUEUED, JobState.ACCEPTED)
        )
        sql = f"{' UNION ALL '.join(parts)} ORDER BY seq LIMIT ?"
        found = [row[0] for row in self._connection.query(sql, (power.value, power.value, limit))]
        sql = f"SELECT {LEAN} FROM job WHERE seq IN ({','.join('?' * len(found))}) ORDER BY seq"
        return [job_of(row) for row in self._connection.query(sql, found)]

    def by_kind(self) -> dict[str, dict[JobState, int]]:
        """How many jobs of each kind are in each state."""
        counts: dict[str, dict[JobState, int]] = {}
        sql = "SELECT task, state, count(*) FROM job INDEXED BY job_state GROUP BY task, state"
        for task, state, count in self._connection.query(sql):
            if state in STATES:  # a damaged one is not
                of_kind = counts.setdefault(task, {})
                of_kind[STATES[state]] = of_kind.get(STATES[state], 0) + count
        return counts

    def latest_of_kinds(self, *, each: int, among: int) -> dict[str, list[str]]:
        """Ids of the newest succeeded jobs of each kind, at most `each`, among the newest `among` of all kinds."""
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
        # The arguments are JSON: there a quotation mark stands behind a backslash.
        in_json = msgspec.json.encode(wanted.text).decode()[1:-1]
        where.append(
            r"(id LIKE ? ESCAPE '\' OR message LIKE ? ESCAPE '\' OR CAST(arguments AS TEXT) LIKE ? ESCAPE '\')"
        )
        values += [_pattern(wanted.text), _pattern(wanted.text), _pattern(in_json)]
    return " AND ".join(where), values


def _pattern(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
