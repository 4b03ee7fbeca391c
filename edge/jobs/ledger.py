"""The ledger: every accepted job, one SQLite file, written by the gateway alone.

A plain synchronous store: `LedgerWriter` gives it a thread, groups its writes and decides which commit must be
durable. Order is `seq`, never a time: a board without a clock may jump decades.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import KeyReused, StorageError, UnknownJob
from edge.model import JobState, Power, Result

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
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
    max_temp_c REAL
) STRICT;
CREATE INDEX IF NOT EXISTS job_state ON job (state, seq, power);
CREATE INDEX IF NOT EXISTS job_asked ON job (seq) WHERE cancel OR remove;
CREATE INDEX IF NOT EXISTS job_deadline ON job (seq) WHERE deadline_s IS NOT NULL AND power = 'surplus';
PRAGMA user_version = 2;
"""
_VERSION = 2
#: From an earlier version to this one, all or nothing.
_UPGRADES = {
    1: """
BEGIN IMMEDIATE;
ALTER TABLE job ADD COLUMN deadline_s REAL;
ALTER TABLE job ADD COLUMN max_temp_c REAL;
CREATE INDEX job_deadline ON job (seq) WHERE deadline_s IS NOT NULL AND power = 'surplus';
PRAGMA user_version = 2;
COMMIT;
"""
}
#: Nobody needs to know whether 20 or 80 thousand jobs come first, and counting them holds up everyone else.
AHEAD_MOST = 5_000
_OPEN = (JobState.ACCEPTED, JobState.QUEUED, JobState.RETRYING)
_IS_OPEN = "state IN ('accepted', 'queued', 'retrying')"
_COLUMNS = (
    "seq, id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state, "
    "accepted_at, finished_at, due_at, failures, attempts, cancel, remove, size_bytes, message, deadline_s, max_temp_c"
)
#: For lists: a job's arguments may be a megabyte, and a list has hundreds of jobs.
_LEAN = _COLUMNS.replace("arguments", "x''")
#: About so many bytes of arguments are read at once to be published.
_READ_BYTES = 2 << 20


#: Seq, failures and power class: what tells one message of a job from its next.
Edition = tuple[int, int, str]


class NewJob(msgspec.Struct, frozen=True):
    """A checked job on its way into the ledger. `key` is the submitter's idempotency key or empty."""

    id: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    power: Power
    retries: int
    time_limit_s: float | None
    submitter: str
    fingerprint: bytes
    key: str = ""
    deadline_s: float | None = None
    max_temp_c: float | None = None


class Job(msgspec.Struct, frozen=True):
    """A row of the ledger."""

    seq: int
    id: str
    task: str
    arguments: bytes  # JSON of [args, kwargs]; empty in lists of jobs
    power: Power
    retries: int
    time_limit_s: float | None
    submitter: str
    fingerprint: bytes
    state: JobState
    accepted_at: float
    finished_at: float | None
    due_at: float | None
    failures: int
    attempts: int
    cancel: bool
    remove: bool
    size_bytes: int
    message: str
    deadline_s: float | None = None
    max_temp_c: float | None = None

    @property
    def edition(self) -> Edition:
        """Tells the message of one attempt from that of the next."""
        return self.seq, self.failures, self.power.value

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments."""
        args, kwargs = msgspec.json.decode(self.arguments)
        return args, kwargs


class Accepted(msgspec.Struct, frozen=True):
    """What became of one submitted job: `created` is False when its key had brought it here before."""

    job: Job
    created: bool


class Ledger:
    """One connection to the ledger file. Not thread-safe; every method is one short indexed statement or few."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, making it when it is not there and `read_only` is not set. Raises StorageError."""
        self._suspect = False  # an error of the disk came between, see `transaction`
        try:
            with ExitStack() as undo:
                uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
                self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
                undo.callback(self._db.close)
                if not read_only:
                    self._db.execute("PRAGMA journal_mode = WAL")
                    self._db.execute("PRAGMA wal_autocheckpoint = 1000")
                    self._db.execute("PRAGMA cache_size = -2000")
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version > _VERSION:
                    newer = ValueError(f"written by a newer version ({version} > {_VERSION})")
                    raise StorageError(f"ledger {path}", newer)
                if not read_only and version < _VERSION:
                    self._db.executescript(_UPGRADES.get(version, _SCHEMA))
                self.open_jobs: int = self._value(f"SELECT count(*) FROM job WHERE {_IS_OPEN}")
                undo.pop_all()
        except sqlite3.Error as err:
            raise StorageError(f"ledger {path}", err) from err

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """All writes inside become one commit: synced to the card when `durable`, else with the next that is.

        Raises StorageError when the disk refuses; then nothing of it has happened. After that the log itself is
        suspect: a failed sync may have lost frames that were written before, and one after the hole would "succeed"
        and be dropped at the next start. So it is emptied into the file first.
        """
        before = self.open_jobs
        try:
            if self._suspect:
                self._empty_log()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as err:
            self.open_jobs = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(err, sqlite3.Error):
                self._suspect = True
                raise StorageError("ledger", err) from err
            raise

    def _empty_log(self) -> None:
        """Bring all of the write-ahead log into the file, synced. Raises sqlite3.Error."""
        self._db.execute("PRAGMA synchronous = FULL")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the log could not be emptied after an error of the disk")
        self._suspect = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a transaction: what raises is undone alone."""
        before = self.open_jobs
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            self.open_jobs = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO one")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE one")

    # ---- writes: inside `transaction` ----

    def add(self, new: NewJob, *, now: float) -> Accepted:
        """Put a job in, or find the one its idempotency key brought before. Raises KeyReused."""
        if new.key:
            known = self._row("id = ?", new.id)
            if known is not None:
                if known.fingerprint != new.fingerprint:
                    raise KeyReused(new.key, new.id)
                return Accepted(known, created=False)
        arguments = msgspec.json.encode([new.args, new.kwargs])
        self._db.execute(
            "INSERT INTO job (id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state,"
            " accepted_at, deadline_s, max_temp_c) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(new.id, new.task, arguments, new.power.value, new.retries, new.time_limit_s),
                *(new.submitter, new.fingerprint, JobState.ACCEPTED.value, now),
                *(new.deadline_s, new.max_temp_c),
            ),
        )
        self.open_jobs += 1
        return Accepted(self.get(new.id), created=True)

    def adopt(self, result: Result, *, size_bytes: int, now: float) -> None:
        """Give a row to a finished job that came by plain Celery, past the gateway."""
        self._db.execute(
            "INSERT OR IGNORE INTO job (id, task, arguments, power, retries, submitter, fingerprint, state,"
            " accepted_at, finished_at, attempts, size_bytes, message) VALUES (?,?,?,?,0,'amqp',x'',?,?,?,?,?,?)",
            (
                *(result.id, result.task, msgspec.json.encode([result.args, result.kwargs]), Power.NORMAL.value),
                *(result.state.value, result.started_at or now, result.finished_at, result.attempts),
                *(size_bytes, _short(result)),
            ),
        )

    def mark_queued(self, editions: Iterable[Edition]) -> None:
        """The broker has confirmed these: they will not be published again. A late word on a failed attempt is none."""
        self._db.executemany(
            "UPDATE job SET state = 'queued' WHERE seq = ? AND failures = ? AND power = ? AND state = 'accepted'",
            editions,
        )

    def mark_retrying(self, job_id: str, *, failures: int, due_at: float, message: str) -> bool:
        """The body failed and has retries left; False when that was known or the job is over."""
        changed = self._db.execute(
            f"UPDATE job SET state = 'retrying', failures = ?, due_at = ?, message = ?"
            f" WHERE id = ? AND failures < ? AND {_IS_OPEN}",
            (failures, due_at, message[:200], job_id, failures),
        )
        return changed.rowcount > 0

    def mark_due(self, job_ids: Iterable[str]) -> None:
        """The wait of these is over: publish them again."""
        self._db.executemany(
            "UPDATE job SET state = 'accepted', due_at = NULL WHERE id = ? AND state = 'retrying'",
            ((job_id,) for job_id in job_ids),
        )

    def hurry(self, job_ids: Iterable[str]) -> None:
        """The deadline of these has come: from now on normal power is enough, and they are published again for it.

        The copy in the queue of surplus power stays there and is harmless: who meets it looks for the result first.
        """
        self._db.executemany(
            "UPDATE job SET power = 'normal', state = CASE state WHEN 'queued' THEN 'accepted' ELSE state END"
            f" WHERE id = ? AND power = 'surplus' AND {_IS_OPEN}",
            ((job_id,) for job_id in job_ids),
        )

    def requeue_all(self) -> int:
        """Publish every open job anew: the broker has lost its store. How many there are."""
        return self._db.execute("UPDATE job SET state = 'accepted' WHERE state = 'queued'").rowcount

    def finish(self, result: Result, *, size_bytes: int) -> bool:
        """Close the row of a job whose durable result was seen; False when there is no open row of it."""
        changed = self._db.execute(
            f"UPDATE job SET state = ?, finished_at = ?, due_at = NULL, attempts = ?, size_bytes = ?, message = ?,"
            f" cancel = 0 WHERE id = ? AND {_IS_OPEN}",
            (result.state.value, result.finished_at, result.attempts, size_bytes, _short(result), result.id),
        )
        self.open_jobs -= changed.rowcount
        return changed.rowcount > 0

    def ask_cancel(self, job_id: str) -> Job:
        """Note that the submitter wants an open job cancelled. Raises UnknownJob."""
        self._db.execute(f"UPDATE job SET cancel = 1 WHERE id = ? AND {_IS_OPEN}", (job_id,))
        return self.get(job_id)

    def ask_remove(self, job_ids: Iterable[str]) -> None:
        """Note that finished jobs are to go; open ones are not touched."""
        self._db.executemany(
            f"UPDATE job SET remove = 1 WHERE id = ? AND NOT {_IS_OPEN}", ((job_id,) for job_id in job_ids)
        )

    def drop(self, job_id: str) -> None:
        """Forget a job whose tombstone is durable."""
        was_open = self._value(f"SELECT count(*) FROM job WHERE id = ? AND {_IS_OPEN}", job_id)
        self._db.execute("DELETE FROM job WHERE id = ?", (job_id,))
        self.open_jobs -= was_open

    # ---- reads ----

    def get(self, job_id: str) -> Job:
        """The row of a job. Raises UnknownJob."""
        row = self._row("id = ?", job_id)
        if row is None:
            raise UnknownJob(job_id)
        return row

    def find(self, job_id: str) -> Job | None:
        """The row of a job, or None."""
        return self._row("id = ?", job_id)

    def page(
        self,
        *,
        states: Sequence[JobState] = (),
        task: str | None = None,
        submitter: str | None = None,
        before_seq: int | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Jobs newest first, older than `before_seq`."""
        where, values = ["1"], list[Any]()
        if states:
            where.append(f"state IN ({','.join('?' * len(states))})")
            values += [state.value for state in states]
        for column, value in (("task", task), ("submitter", submitter)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if before_seq is not None:
            where.append("seq < ?")
            values.append(before_seq)
        return list(self._rows(f"{' AND '.join(where)} ORDER BY seq DESC LIMIT ?", *values, limit, columns=_LEAN))

    def unpublished(self, *, after_seq: int, limit: int) -> list[Job]:
        """Jobs the broker has not confirmed, oldest first, with their arguments; fewer when these are large."""
        jobs, size = list[Job](), 0
        for job in self._rows("state = 'accepted' AND seq > ? ORDER BY seq LIMIT ?", after_seq, limit):
            jobs.append(job)
            size += len(job.arguments)
            if size >= _READ_BYTES:
                break
        return jobs

    def ahead(self, job: Job, *, most: int = AHEAD_MOST) -> int:
        """How many open jobs of the same power class were accepted before `job`; counts no further than `most`."""
        return int(
            self._value(
                "SELECT count(*) FROM"
                " (SELECT 1 FROM job WHERE state IN ('accepted', 'queued') AND seq < ? AND power = ? LIMIT ?)",
                *(job.seq, job.power.value, most),
            )
        )

    def counts(self) -> dict[JobState, int]:
        """Jobs in each stored state."""
        rows = self._query("SELECT state, count(*) FROM job GROUP BY state")
        return {JobState(state): count for state, count in rows}

    def open_ids(self) -> list[str]:
        """Every job without a result, oldest first."""
        return [row[0] for row in self._query(f"SELECT id FROM job WHERE {_IS_OPEN} ORDER BY seq")]

    def retrying(self) -> list[Job]:
        """Jobs that wait for their next attempt."""
        return list(self._rows("state = 'retrying' ORDER BY seq", columns=_LEAN))

    def with_deadline(self) -> list[Job]:
        """Open jobs that wait for surplus power, but not for ever."""
        return list(self._rows(f"deadline_s IS NOT NULL AND power = 'surplus' AND {_IS_OPEN} ORDER BY seq"))

    def asked(self) -> list[Job]:
        """Jobs with a cancel or remove that has not been carried out."""
        return list(self._rows("(cancel OR remove) ORDER BY seq", columns=_LEAN))

    def finished(self, *, limit: int) -> list[Job]:
        """Finished jobs that nobody asked to remove, oldest first."""
        return list(self._rows(f"NOT {_IS_OPEN} AND NOT remove ORDER BY seq LIMIT ?", limit, columns=_LEAN))

    def finished_bytes(self) -> int:
        """Bytes that the results of finished jobs take."""
        return int(self._value(f"SELECT coalesce(sum(size_bytes), 0) FROM job WHERE NOT {_IS_OPEN} AND NOT remove"))

    def unknown_of(self, job_ids: Iterable[str]) -> Iterator[str]:
        """Those ids that have no row."""
        for job_id in job_ids:
            if not self._value("SELECT count(*) FROM job WHERE id = ?", job_id):
                yield job_id

    def problems(self) -> list[str]:
        """What SQLite's own check finds wrong with the file; empty when it is sound."""
        return [row[0] for row in self._query("PRAGMA quick_check(5)") if row[0] != "ok"]

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as err:
            raise StorageError("ledger", err) from err

    def _value(self, sql: str, *values: Any) -> Any:
        return self._query(sql, *values)[0][0]

    def _rows(self, where: str, *values: Any, columns: str = _COLUMNS) -> Iterator[Job]:
        """One by one: SQLite reads on as the caller does."""
        try:
            for row in self._db.execute(f"SELECT {columns} FROM job WHERE {where}", values):
                fields = dict(zip(Job.__struct_fields__, row, strict=True))
                fields |= {"power": Power(row[4]), "state": JobState(row[9]), "cancel": bool(row[15])}
                yield Job(**fields | {"remove": bool(row[16])})
        except sqlite3.Error as err:
            raise StorageError("ledger", err) from err

    def _row(self, where: str, *values: Any) -> Job | None:
        return next(self._rows(where, *values), None)


def _short(result: Result) -> str:
    return result.failure.message[:200] if result.failure else ""
