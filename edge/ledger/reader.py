"""Reads the ledger: lists, counts, pending jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from edge.core import clock
from edge.core.errors import UnknownJob
from edge.ledger.connection import Connection
from edge.ledger.open_kinds import OpenKind
from edge.ledger.rows import (
    COLUMNS,
    LEAN,
    LEAN_NAMES,
    POWERS,
    STATES,
    WAITING,
    Child,
    JobRow,
    SqlRow,
    SqlValue,
    files_of,
    job_of,
)
from edge.ledger.schedules import ScheduleReader
from edge.ledger.search import Search
from edge.model import FINAL, JobState, Power
from edge.schedule.dependencies import GONE, Edge
from edge.schedule.lane import Lane
from edge.schedule.later import USUAL_PRIORITY

#: The largest count of jobs ahead. Counting more would delay other queries, and nobody needs the exact number.
AHEAD_MOST = 5_000
#: SQL condition of open jobs. A damaged state counts as open, because the result of the job sets the right state later.
IS_OPEN = "state NOT IN ('succeeded', 'failed', 'cancelled')"
#: SQL condition of a finished job whose result no waiting job needs.
_UNNEEDED = (
    "NOT EXISTS (SELECT 1 FROM after JOIN job AS child ON child.id = after.child"
    f" WHERE after.parent = job.id AND child.state = '{WAITING}')"
)
#: Index and condition of waiting jobs: first of jobs with a delay, then of jobs with a time.
_TIMES = (("job_delayed", "IS NOT NULL"), ("job_not_before", "IS NULL"))
#: Approximate limit of the bytes of arguments that are read at once for publishing.
READ_BYTES = 2 << 20


class LedgerReader:
    """Queries the ledger over one connection. Not thread-safe. All methods raise StorageError.

    Most methods need one or a few short indexed statements. `page` with a filter that matches few jobs, `open_kinds`,
    `wanted_files` and `problems` may read much more.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.schedules = ScheduleReader(connection)
        self.search = Search(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return a reader with a new read-only connection. Raises StorageError."""
        return cls(Connection(path))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, job_id: str) -> JobRow:
        """Return the row of a job. Raises UnknownJob."""
        row = self.find(job_id)
        if row is None:
            raise UnknownJob(job_id)
        return row

    def find(self, job_id: str) -> JobRow | None:
        """Return the row of a job, or None."""
        return next(self._rows("id = ?", job_id), None)

    def rows(self, seqs: Sequence[int]) -> list[JobRow]:
        """Return the rows with these numbers, without their arguments."""
        return [job for seq in seqs for job in self._rows("seq = ?", seq, columns=LEAN)]

    def page(
        self,
        *,
        states: Sequence[JobState] = (),
        task: str | None = None,
        submitter: str | None = None,
        before_seq: int | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """Return jobs older than `before_seq`, newest first. A filter that matches few jobs reads a whole index."""
        older = "seq < ?" if before_seq is not None else "1"
        values: list[int | str] = [before_seq] if before_seq is not None else []
        if not states and task is None and submitter is None:
            return list(self._rows(f"{older} ORDER BY seq DESC LIMIT ?", *values, limit, columns=LEAN))
        where = [older]
        for column, value in (("task", task), ("submitter", submitter)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        stored = [text for text, state in STATES.items() if not states or state in states]
        return self._merged(stored, " AND ".join(where), *values, order="DESC", limit=limit)

    def unpublished(self, *, after_seq: int, limit: int) -> list[JobRow]:
        """Return jobs that the broker has not confirmed, oldest first, with their arguments.

        Returns fewer than `limit` if the arguments are large.
        """
        return self._bounded("state = 'accepted' AND seq > ? ORDER BY seq LIMIT ?", after_seq, limit, index="job_state")

    def unpublished_outside(self, lanes: Iterable[Lane], *, after_seq: int, limit: int) -> list[JobRow]:
        """Return jobs as `unpublished` does, but only those of default priority that are in none of `lanes`."""
        wheres, values = (
            [f"state = 'accepted' AND seq > ? AND priority = {USUAL_PRIORITY}"],
            list[SqlValue]([after_seq]),
        )
        for lane in lanes:
            where, more = _inside(lane)
            wheres.append(f"NOT ({where})")
            values += more
        return self._bounded(f"{' AND '.join(wheres)} ORDER BY seq LIMIT ?", *values, limit, index="job_state")

    def accepted(self, lane: Lane, *, priority: int, after_seq: int, limit: int) -> list[JobRow]:
        """Return jobs as `unpublished` does, but only those of one lane and priority."""
        where, values = _inside(lane)
        usual = priority == USUAL_PRIORITY
        other = "" if usual else f"AND priority <> {USUAL_PRIORITY} "
        return self._bounded(
            f"state = 'accepted' AND priority = ? AND seq > ? {other}AND {where} ORDER BY seq LIMIT ?",
            *(priority, after_seq, *values, limit),
            index="job_state" if usual else "job_ranked",
        )

    def ranked_kinds(self) -> list[tuple[str, Power, int]]:
        """Return kind, power class and priority of the unpublished jobs whose priority is not the default."""
        rows = self._query(
            "SELECT DISTINCT task, power, priority FROM job INDEXED BY job_ranked"
            f" WHERE state = 'accepted' AND priority <> {USUAL_PRIORITY}"
        )
        return [(task, POWERS.get(power, Power.NORMAL), priority) for task, power, priority in rows]

    def queued(self) -> list[tuple[str, str, Power]]:
        """Return id, kind and power class of each job that the broker has."""
        rows = self._query("SELECT id, task, power FROM job WHERE state = 'queued'")
        return [(job_id, task, POWERS.get(power, Power.NORMAL)) for job_id, task, power in rows]

    def open_kinds(self) -> tuple[OpenKind, ...]:
        """Return the number of accepted and queued jobs of each kind and power class, the largest group first.

        Jobs that wait or retry are not counted. Reads an index entry of each counted job.
        """
        rows = self._query(
            "SELECT task, power, count(*) FROM job WHERE state IN ('accepted', 'queued')"
            " GROUP BY task, power ORDER BY 3 DESC, task, power"
        )
        return tuple(OpenKind(*row) for row in rows)

    @property
    def newest(self) -> int:
        """The number of the newest job."""
        return self._count("SELECT coalesce(max(seq), 0) FROM job")

    def accepted_by(self, times: Iterable[float]) -> list[int]:
        """Return for each of these times, in ascending order, the newest job that was accepted by then, or 0 for none.

        The times are seconds since 1970. A binary search finds each of them, because jobs are accepted in the order of
        their numbers. If the clock was wrong meanwhile, it may find an older job, never a job with a later time.
        """
        found, least, newest = list[int](), 0, self.newest
        for at in times:
            above = newest + 1
            while above - least > 1:
                middle = (least + above) // 2
                rows = self._query("SELECT seq, accepted_at FROM job WHERE seq >= ? ORDER BY seq LIMIT 1", middle)
                if rows and clock.plausible(rows[0][1]) and rows[0][1] <= at:
                    least = rows[0][0]
                else:
                    above = middle
            found.append(least)
        return found

    def ended_since(self, at: float, *, most: int = 10_000) -> list[tuple[str, float]]:
        """Return kind and end of the jobs that ended after `at` (seconds since 1970), in the order of their ends.

        Only the newest `most` jobs are read.
        """
        rows = self._query(
            "SELECT task, finished_at FROM (SELECT task, finished_at FROM job ORDER BY seq DESC LIMIT ?)"
            " WHERE finished_at > ? ORDER BY finished_at",
            *(most, at),
        )
        return [(task, finished_at) for task, finished_at in rows]

    def _bounded(self, where: str, *values: SqlValue, index: str) -> list[JobRow]:
        """Return rows with their arguments; fewer rows if the arguments are large."""
        jobs, size = list[JobRow](), 0
        for job in self._rows(where, *values, index=index):
            jobs.append(job)
            size += len(job.arguments)
            if size >= READ_BYTES:
                break
        return jobs

    def ahead(self, job: JobRow, *, tasks: Collection[str] = (), only: bool = False, most: int = AHEAD_MOST) -> int:
        """Return how many open jobs of the same power class run before `job`, at most `most`.

        If `only`, count the jobs of the kinds in `tasks`; else count the jobs of all kinds except these. So the caller
        can choose the kinds of one queue, which belong to one pool.
        """
        marks = ", ".join("?" * len(tasks))
        kinds = f"AND task {'IN' if only else 'NOT IN'} ({marks})" if tasks or only else ""
        same: list[SqlValue] = [job.power.value, *tasks]
        if job.state is not JobState.ACCEPTED:  # jobs that the broker has keep their order
            return self._count(
                "SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued' AND seq < ?"
                f" AND power = ? {kinds} LIMIT ?)",
                *(job.seq, *same, most),
            )
        number: list[SqlValue] = [job.seq] if job.priority == USUAL_PRIORITY else []
        usual = {-1: "1", 0: "seq < ?", 1: "0"}[(job.priority > USUAL_PRIORITY) - (job.priority < USUAL_PRIORITY)]
        return self._count(
            "SELECT count(*) FROM ("
            f"SELECT 1 FROM job WHERE state = 'queued' AND power = ? {kinds}"
            f" UNION ALL SELECT 1 FROM job WHERE state = 'accepted'"
            f" AND priority = {USUAL_PRIORITY} AND {usual} AND power = ? {kinds}"
            f" UNION ALL SELECT 1 FROM job WHERE state = 'accepted'"
            f" AND priority <> {USUAL_PRIORITY} AND (priority > ? OR (priority = ? AND seq < ?)) AND power = ? {kinds}"
            " LIMIT ?)",
            *(*same, *number, *same, job.priority, job.priority, job.seq, *same, most),
        )

    @property
    def open_jobs(self) -> int:
        """The number of jobs without a result."""
        return self._count(f"SELECT count(*) FROM job WHERE {IS_OPEN}")

    def retrying(self) -> list[JobRow]:
        """Return the jobs that wait for their next attempt."""
        return list(self._rows("state = 'retrying' ORDER BY seq", columns=LEAN))

    def due(self, *, now: float, trusted: bool, limit: int) -> list[int]:
        """Return the `seq` of waiting jobs that are due. If the clock is not `trusted`, only of jobs with a delay."""
        found = list[SqlRow]()
        for index, delayed in _TIMES if trusted else _TIMES[:1]:
            found += self._query(
                f"SELECT seq FROM job INDEXED BY {index} WHERE state = '{WAITING}' AND delay_s {delayed}"
                " AND due_at <= ? ORDER BY due_at LIMIT ?",
                *(now, limit),
            )
        return [row[0] for row in found]

    def next_due(self) -> tuple[float | None, float | None]:
        """Return when the first job with a delay and the first job with a time are due. None means no such job."""
        first = [
            self._query(
                f"SELECT min(due_at) FROM job INDEXED BY {index} WHERE state = '{WAITING}' AND delay_s {delayed}"
                " AND due_at IS NOT NULL"
            )[0][0]
            for index, delayed in _TIMES
        ]
        return first[0], first[1]

    def next_due_of(self, classes: Iterable[Power], *, trusted: bool) -> tuple[float | None, ...]:
        """Do the same as `next_due`, for jobs of these power classes only.

        If the clock is not `trusted`, return one entry: that of the jobs with a delay.
        """
        powers = ", ".join(f"'{power.value}'" for power in classes) or "''"
        return tuple(
            self._query(
                f"SELECT min(due_at) FROM job INDEXED BY {index} WHERE state = '{WAITING}' AND delay_s {delayed}"
                f" AND due_at IS NOT NULL AND power IN ({powers})"
            )[0][0]
            for index, delayed in (_TIMES if trusted else _TIMES[:1])
        )

    def with_deadline(self) -> list[JobRow]:
        """Return open jobs that wait for surplus power and have a deadline."""
        where = f"deadline_s IS NOT NULL AND power = 'surplus' AND {IS_OPEN} ORDER BY seq"
        return list(self._rows(where, columns=LEAN, index="job_deadline"))

    def wanted_files(self) -> set[str]:
        """Return the hashes of the files that open jobs and schedules need. A damaged record needs none."""
        rows = self._query(f"SELECT files FROM job INDEXED BY job_files WHERE files IS NOT NULL AND {IS_OPEN}")
        wanted = set[str]()
        for (files,) in rows:
            with suppress(msgspec.DecodeError):
                wanted.update(file.sha256 for file in files_of(files).values())
        return wanted | self.schedules.wanted_files()

    def asked(self) -> list[JobRow]:
        """Return the jobs with a request to cancel or remove that has not been carried out."""
        return list(self._rows("(cancel OR remove) ORDER BY seq", columns=LEAN, index="job_asked"))

    def finished(self, *, limit: int) -> list[JobRow]:
        """Return finished jobs, oldest first, that nobody asked to remove and whose result no waiting job needs."""
        where = f"NOT remove AND {_UNNEEDED}"
        return self._merged([state.value for state in sorted(FINAL)], where, order="ASC", limit=limit)

    def ids_with_prefix(self, prefix: str) -> dict[str, bool]:
        """Return the ids that begin with `prefix` (at least one character). The value is True if the job is open."""
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._query(f"SELECT id, {IS_OPEN} FROM job WHERE id >= ? AND id < ?", prefix, after)
        return {job_id: bool(is_open) for job_id, is_open in rows}

    def open_among(self, job_ids: Iterable[str]) -> set[str]:
        """Return the ids of `job_ids` that belong to open jobs."""
        sql = f"SELECT count(*) FROM job WHERE id = ? AND {IS_OPEN}"
        return {job_id for job_id in job_ids if self._count(sql, job_id)}

    def open_with(self, submitter: str, unique_key: str) -> JobRow | None:
        """Return the open job of this submitter with this unique key, or None."""
        where = f"submitter = ? AND unique_key = ? AND unique_key IS NOT NULL AND {IS_OPEN}"
        return next(self._rows(where, submitter, unique_key, index="job_unique"), None)

    def edges(self, child: str) -> list[Edge]:
        """Return the jobs that `child` waits for or waited for, in the order in which its submission named them."""
        rows = self._query("SELECT parent, outcome, anyway FROM after WHERE child = ? AND n >= 0 ORDER BY n", child)
        return [Edge(parent, outcome or "", bool(anyway)) for parent, outcome, anyway in rows]

    def needs_results(self, child: str) -> bool:
        """Return True while results of other jobs must still be put into the arguments of `child`."""
        return bool(self._query("SELECT 1 FROM after WHERE child = ? AND n = -1 AND outcome IS NULL", child))

    def followers(self, parent: str, *, after_id: str = "", limit: int = 50) -> list[JobRow]:
        """Return the jobs that run after `parent`, sorted by id, beginning with the first id after `after_id`."""
        columns = ", ".join(f"job.{name}" for name in LEAN_NAMES)
        rows = self._query(
            f"SELECT {columns} FROM after INDEXED BY after_of JOIN job ON job.id = after.child"
            " WHERE after.parent = ? AND after.child > ? ORDER BY after.child LIMIT ?",
            *(parent, after_id, limit),
        )
        return [job_of((*row[:3], b"", *row[3:])) for row in rows]

    def follower_count(self, parent: str, *, most: int = 1000) -> int:
        """Return how many jobs run after `parent`, at most `most`."""
        return self._count("SELECT count(*) FROM (SELECT 1 FROM after WHERE parent = ? LIMIT ?)", parent, most)

    def undecided(self) -> list[str]:
        """Return the ids of waiting jobs for which at least one of their parents has ended."""
        rows = self._query(
            "SELECT DISTINCT child FROM after JOIN job ON job.id = after.child"
            f" WHERE job.state = '{WAITING}' AND after.outcome IS NOT NULL"
        )
        return [row[0] for row in rows]

    def unfired(self) -> list[tuple[str, str, str]]:
        """Return (child, parent, outcome) of each edge that has no outcome although its parent has ended or is gone."""
        return [
            (child, parent, state or GONE)
            for child, parent, state in self._query(
                "SELECT child, parent, job.state FROM after LEFT JOIN job ON job.id = after.parent"
                f" WHERE outcome IS NULL AND n >= 0 AND (job.id IS NULL OR NOT (job.{IS_OPEN}))"
            )
        ]

    def parent_of(self, job_id: str) -> str:
        """Return the id of the job that spawned this one, or an empty string if no job did."""
        found = self._query("SELECT parent FROM spawned WHERE child = ?", job_id)
        return str(found[0][0]) if found else ""

    def children(self, parent: str, *, after: int = -1, limit: int = 50) -> list[Child]:
        """Return the jobs that the body of `parent` spawned, in order, beginning behind the place `after`."""
        columns = ", ".join(f"job.{name}" for name in LEAN_NAMES)
        sql = (
            f"SELECT n, child, {columns} FROM spawned INDEXED BY spawned_of LEFT JOIN job ON job.id = spawned.child"
            " WHERE spawned.parent = ? AND n > ? ORDER BY n LIMIT ?"
        )
        return [
            Child(n, child, job_of((*row[:3], b"", *row[3:])) if row[0] is not None else None)
            for n, child, *row in self._query(sql, parent, after, limit)
        ]

    def has_children(self, parent: str) -> bool:
        """Return True if the body of `parent` has spawned a job."""
        return bool(self._query("SELECT 1 FROM spawned WHERE parent = ? LIMIT 1", parent))

    def child_counts(self, parent: str, *, running: Sequence[str] = ()) -> dict[str, int]:
        """Return the number of spawned jobs of `parent` by state; removed ones count as `removed`.

        Open jobs with an id in `running` count as `running`.
        """
        state = "CASE WHEN job.id IN (SELECT value FROM json_each(?)) AND " + IS_OPEN + " THEN 'running' ELSE state END"
        rows = self._query(
            f"SELECT coalesce({state}, 'removed') AS shown, count(*) FROM spawned INDEXED BY spawned_of"
            " LEFT JOIN job ON job.id = spawned.child WHERE parent = ? GROUP BY shown",
            *(msgspec.json.encode(running).decode(), parent),
        )
        return dict(rows)

    def problems(self) -> list[str]:
        """Return the faults that SQLite's own check finds in the file, or an empty list."""
        return [row[0] for row in self._query("PRAGMA quick_check(5)") if row[0] != "ok"]

    def _query(self, sql: str, *values: SqlValue) -> list[SqlRow]:
        return self._connection.query(sql, values)

    def _count(self, sql: str, *values: SqlValue) -> int:
        count: int = self._query(sql, *values)[0][0]
        return count

    def _rows(self, where: str, *values: SqlValue, columns: str = COLUMNS, index: str = "") -> Iterator[JobRow]:
        """Yield rows one by one. SQLite reads each when the caller needs it."""
        using = f"INDEXED BY {index} " if index else ""
        return map(job_of, self._connection.stream(f"SELECT {columns} FROM job {using}WHERE {where}", values))

    def _merged(self, stored: Sequence[str], where: str, *values: SqlValue, order: str, limit: int) -> list[JobRow]:
        """Return jobs in any of these stored states, in the order of `seq`.

        The index has that order within each state. SQLite merges these parts and reads only as far as `limit` needs.
        """
        parts = (f"SELECT seq FROM job INDEXED BY job_state WHERE state = '{state}' AND {where}" for state in stored)
        sql = f"{' UNION ALL '.join(parts)} ORDER BY seq {order} LIMIT ?"
        found = [row[0] for row in self._query(sql, *(values * len(stored)), limit)]
        marks = ",".join("?" * len(found))
        return list(self._rows(f"seq IN ({marks}) ORDER BY seq {order}", *found, columns=LEAN))


def _inside(lane: Lane) -> tuple[str, list[SqlValue]]:
    """Return the SQL condition that a row is in `lane`, and its values."""
    if not lane.kinds and not lane.only:
        return "power = ?", [lane.power.value]
    marks = ", ".join("?" * len(lane.kinds))
    return f"power = ? AND task {'IN' if lane.only else 'NOT IN'} ({marks})", [lane.power.value, *sorted(lane.kinds)]
