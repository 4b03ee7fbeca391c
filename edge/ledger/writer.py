"""Changes the ledger. Only the gateway does that, in the thread of `CommitThread`.

`CommitThread` groups the writes and decides which commit must be durable. Jobs are ordered by `seq`, never by a time,
because the clock of a board without an RTC may jump decades.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import msgspec

from edge.core import clock
from edge.core.clock import SteadyClock
from edge.core.errors import KeyReused, UnknownJob, UsageError
from edge.ledger import schema
from edge.ledger.connection import Connection
from edge.ledger.reader import IS_OPEN, LedgerReader
from edge.ledger.rows import ODD_POWER, ODD_STATE, WAITING, Accepted, Followers, JobRow, MessageKey, NewJob, SqlValue
from edge.ledger.schedules import ScheduleWriter
from edge.model import JobState, Power, Result
from edge.schedule.dependencies import GONE
from edge.schedule.later import Later

_FINISH = (
    "UPDATE job SET state = ?, finished_at = ?, due_at = NULL, attempts = ?, size_bytes = ?, message = ?, cancel = 0"
    f" WHERE id = ? AND {IS_OPEN}"
)


class LedgerWriter:
    """Changes the ledger over the one connection that writes. Not thread-safe.

    Every change happens inside `transaction`. In addition to the errors named here it may raise sqlite3.Error, which
    the transaction turns into StorageError. `reader` sees the changes of the present transaction.
    """

    def __init__(self, connection: Connection, *, steady: SteadyClock | None = None) -> None:
        """Take a writable connection, and the clock that counts delays. Raises StorageError."""
        self.connection = connection
        self.reader = LedgerReader(connection)
        self.schedules = ScheduleWriter(connection)
        self._has_edges = bool(connection.query("SELECT 1 FROM after LIMIT 1"))  # False in most ledgers
        self._steady = steady or SteadyClock()
        self._run = secrets.randbits(31)  # names this run of the gateway in the column `clock`
        self._last_seq: int = connection.query("SELECT coalesce(max(seq), 0) FROM job")[0][0]

    @classmethod
    def open(cls, path: Path, *, by_kind: bool = False) -> Self:
        """Return the writer of the ledger at `path`, which is created if it does not exist. Raises StorageError.

        With `by_kind` it counts the open jobs of each kind.
        """
        return cls(Connection(path, writable=True, by_kind=by_kind))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def open_jobs(self) -> int:
        """The number of jobs without a result, including changes of the present transaction."""
        return self.connection.open_jobs

    def below_limit(self, most: int) -> bool:
        """Return True if fewer than `most` jobs have no result, including changes of the present transaction."""
        return self.connection.open_jobs_at_most < most or self.open_jobs < most

    def transaction(self, *, durable: bool) -> AbstractContextManager[None]:
        """Make all writes inside one commit, see `Connection.transaction`."""
        return self.connection.transaction(durable=durable)

    # ---- changes: inside `transaction` ----

    def prove(self) -> None:
        """Write one page without a change, to test the disk. If the disk refuses, the transaction raises."""
        self.connection.execute(f"PRAGMA user_version = {schema.VERSION}")

    def accepted_before(self, new: NewJob) -> Accepted | None:
        """Return the job of an earlier submission with the same idempotency key, or None. Raises KeyReused."""
        if not new.key:
            return None
        job = self.reader.find(new.id)
        if job is None:
            return None
        if not job.fingerprint:
            return Accepted(self._claimed(new), created=False)
        if job.fingerprint != new.fingerprint:
            raise KeyReused(new.key, new.id)
        return Accepted(job, created=False)

    def add(self, new: NewJob, *, now: float) -> Accepted:
        """Insert a job, or return the job of an earlier submission with the same key. Raises KeyReused."""
        added = self.insert(new, now=now) or self.accepted_before(new)
        if added is None:
            raise sqlite3.IntegrityError(f"job {new.id!r} is in the ledger already")
        return added

    def insert(self, new: NewJob, *, now: float, lenient: bool = False) -> Accepted | None:
        """Insert a job and return its row, or None if a job with its id exists already.

        If the submitter has an open job with the same unique key, that job is returned and no job is inserted.
        With `lenient` the new job may name an unknown job in `after`. That counts as gone, which ends the new job.
        Raises UnknownJob, UsageError.
        """
        if new.later is not None and new.later.unique_key is not None:
            same = self.reader.open_with(new.submitter, new.later.unique_key)
            if same is not None and same.id != new.id:
                return Accepted(same, created=False)
        if new.later is not None:
            self._due(new.later)  # before anything is written
        outcomes = {} if new.later is None or not new.later.after else self._outcomes(new, new.later, lenient=lenient)
        seq = self._last_seq + 1
        job = JobRow(
            seq=seq,
            id=new.id,
            task=new.task,
            arguments=msgspec.json.encode([new.args, new.kwargs]),
            power=new.power,
            retries=new.retries,
            time_limit_s=new.time_limit_s,
            submitter=new.submitter,
            fingerprint=new.fingerprint,
            state=JobState.ACCEPTED,
            accepted_at=now,
            deadline_s=new.deadline_s,
            max_temp_c=new.max_temp_c,
            files=msgspec.json.encode(new.files) if new.files else None,
        )
        inserted = self.connection.execute(
            "INSERT INTO job (seq, id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state,"
            " accepted_at, deadline_s, max_temp_c, files) VALUES (?,?,?,?,?,?,?,?,?,'accepted',?,?,?,?)"
            " ON CONFLICT (id) DO NOTHING",
            (
                *(seq, job.id, job.task, job.arguments, job.power.value, job.retries, job.time_limit_s),
                *(job.submitter, job.fingerprint, job.accepted_at, job.deadline_s, job.max_temp_c, job.files),
            ),
        )
        if not inserted:
            return None
        # A process uses no number twice, not even after its job was removed: the broker may confirm that job later.
        self._last_seq = seq
        if new.later is not None:
            job = self._put_aside(job, new.later, outcomes)
        return Accepted(job, created=True)

    def _outcomes(self, new: NewJob, later: Later, *, lenient: bool) -> dict[str, str | None]:
        """Return how each job in `later.after` has ended, or None if it is open. Raises UnknownJob."""
        found = dict[str, str | None]()
        for job_id in later.after:
            parent = self.reader.find(job_id)
            if job_id == new.id or parent is None or not (later.foreign or parent.submitter == new.submitter):
                # A job that is in the ledger already was accepted while its parent was still known.
                if not lenient and self.reader.find(new.id) is None:
                    raise UnknownJob.reported(f"after: no job {job_id!r}", job_id=job_id)
                found[job_id] = GONE
            else:
                found[job_id] = parent.state.value if parent.state.final else None
        return found

    def _put_aside(self, job: JobRow, later: Later, outcomes: Mapping[str, str | None]) -> JobRow:
        """Store the conditions that a new job waits for, and return its new row."""
        due_at, delay_s = self._due(later)
        job = msgspec.structs.replace(
            job,
            due_at=due_at,
            priority=later.priority,
            unique_key=later.unique_key,
            delay_s=delay_s,
            clock=None if delay_s is None else self._run,
            waits=later.waits,
        )
        self.connection.execute(
            "UPDATE job SET state = ?, priority = ?, due_at = ?, delay_s = ?, clock = ?, unique_key = ? WHERE seq = ?",
            (
                *(WAITING if job.waits else JobState.ACCEPTED.value, job.priority, job.due_at, job.delay_s),
                *(job.clock, job.unique_key, job.seq),
            ),
        )
        if not later.after:
            return job
        self._has_edges = True
        rows: list[tuple[SqlValue, ...]] = [
            (job.id, parent, n, later.anyway, outcomes[parent]) for n, parent in enumerate(later.after)
        ]
        if later.results:  # one more edge without a parent: only `supply` ends it
            rows.append((job.id, "", -1, False, None))
        self.connection.execute_many("INSERT INTO after (child, parent, n, anyway, outcome) VALUES (?,?,?,?,?)", rows)
        return next(iter(self._release([job.seq])), job)

    def _due(self, later: Later) -> tuple[float | None, float | None]:
        """Return when a new job is due, and the delay behind that time or None. Raises UsageError."""
        now = self._steady.now()
        if later.delay_s is None:
            return later.not_before, None
        if later.not_before is not None and not clock.plausible(now):
            raise UsageError("delay_s and not_before: while the board does not know the time, give only one of them")
        if later.not_before is not None and later.not_before > now + later.delay_s:
            return later.not_before, None
        return now + later.delay_s, later.delay_s

    # ---- jobs that wait for other jobs ----

    def fire(self, ended: Iterable[tuple[str, str]]) -> Followers:
        """Record the end of these jobs (id, outcome) for all jobs that wait for them. A second call changes nothing."""
        if not self._has_edges:
            return Followers()
        children = dict[str, None]()
        for parent, outcome in ended:
            if self.connection.execute(
                "UPDATE after SET outcome = ? WHERE parent = ? AND outcome IS NULL", (outcome, parent)
            ):
                rows = self.connection.query("SELECT child FROM after WHERE parent = ?", (parent,))
                children.update((row[0], None) for row in rows)
        return self._look_at(children)

    def fire_missed(self) -> Followers:
        """Record the ends that `fire` has missed, because a row was lost or came from a copy of the ledger."""
        edges = self.reader.unfired()
        self.connection.execute_many(
            "UPDATE after SET outcome = ? WHERE child = ? AND parent = ? AND outcome IS NULL",
            ((outcome, child, parent) for child, parent, outcome in edges),
        )
        return self._look_at(dict.fromkeys([*(child for child, _, _ in edges), *self.reader.undecided()]))

    def supply(self, job_id: str, arguments: bytes) -> list[JobRow]:
        """Store the arguments of a waiting job, with the results of other jobs in them.

        Returns the job in a list if it may be published now, else an empty list.
        """
        self.connection.execute(
            f"UPDATE job SET arguments = ? WHERE id = ? AND state = '{WAITING}'", (arguments, job_id)
        )
        self.connection.execute("UPDATE after SET outcome = 'succeeded' WHERE child = ? AND n = -1", (job_id,))
        job = self.reader.get(job_id)
        return self._release([job.seq])

    def _look_at(self, children: Iterable[str]) -> Followers:
        waiting = [job for job in map(self.reader.find, children) if job is not None and job.waits]
        free = self._release([job.seq for job in waiting])
        return Followers(free, [job.id for job in waiting if job.seq not in {each.seq for each in free}])

    # ---- time ----

    def start_clock(self) -> None:
        """Take over the delays of earlier runs of the gateway. Call it once, before other writes.

        Some stored times are wrong: those that would make a delay longer than it was (the clock was ahead then or is
        behind now), and those from a clock that was not set. Such a delay starts again, so its job runs late, but never
        early.
        """
        now = self._steady.now()
        self.connection.execute(
            "UPDATE job INDEXED BY job_delayed SET due_at = ? + delay_s, clock = ?"
            f" WHERE state = '{WAITING}' AND delay_s IS NOT NULL AND (due_at > ? + delay_s OR due_at < ?)",
            (now, self._run, now, clock.EARLIEST),
        )

    def what_is_due(self, *, limit: int) -> tuple[list[JobRow], float | None]:
        """Release waiting jobs that are due, about `limit` of them.

        If the wall clock was set meanwhile, delays that this run of the gateway has counted keep their remaining time.

        Returns:
            The jobs that may be published now, and the seconds until the next one is due. The seconds are None if there
            is no such job, or if its time cannot be known.
        """
        step_s = self._steady.follow()
        if step_s:
            self.connection.execute(
                "UPDATE job INDEXED BY job_delayed SET due_at = due_at + ?"
                f" WHERE state = '{WAITING}' AND delay_s IS NOT NULL AND due_at IS NOT NULL AND clock = ?",
                (step_s, self._run),
            )
        now = self._steady.now()
        trusted = clock.plausible(now)
        seqs = self.reader.due(now=now, trusted=trusted, limit=limit)
        self.connection.execute_many("UPDATE job SET due_at = NULL WHERE seq = ?", ((seq,) for seq in seqs))
        free = self._release(seqs)
        delayed, dated = self.reader.next_due()
        nearest = min((at for at in (delayed, dated if trusted else None) if at is not None), default=None)
        return free, None if nearest is None else max(0.0, nearest - now)

    def _release(self, seqs: Sequence[int]) -> list[JobRow]:
        """Release the waiting jobs among `seqs` that have nothing more to wait for, and return them."""
        free = [
            seq
            for seq in seqs
            if self.connection.execute(
                "UPDATE job SET state = 'accepted', released_seq = ?"
                f" WHERE seq = ? AND state = '{WAITING}' AND due_at IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM after WHERE child = job.id "
                " AND (outcome IS NULL OR outcome = 'gone' OR (outcome <> 'succeeded' AND NOT anyway)))",
                (self._last_seq, seq),
            )
        ]
        return self.reader.rows(free)

    def spawn(
        self, parent: str, jobs: Sequence[NewJob], *, removed: Callable[[str], bool], now: float
    ) -> tuple[list[JobRow], list[NewJob]]:
        """Insert the jobs that the body of `parent` spawned. Jobs that are in the ledger already do not change.

        Args:
            parent: the spawning job.
            jobs: the spawned jobs in order, each with its id from `spawned_job_id`.
            removed: tells if the job with an id was removed; a removed job is not inserted again.
            now: the time at which they are accepted.

        Returns:
            The new rows, and the jobs of `jobs` whose id belongs to a different job. A job whose unique key is in use
            by an open job is in neither list.
        """
        self.link(parent, [job.id for job in jobs if job.child])
        rows, others = list[JobRow](), list[NewJob]()
        for job in jobs:
            added = None if removed(job.id) else self.insert(job, now=now, lenient=True)
            if added is not None:
                rows += [added.job] if added.created else []
                continue
            known = self.reader.find(job.id)
            if known is not None and known.fingerprint and known.fingerprint != job.fingerprint:
                others.append(job)
        return rows, others

    def link(self, parent: str, children: Sequence[str]) -> None:
        """Record that the body of `parent` spawned these jobs, after the jobs that are recorded already."""
        known = self.connection.query("SELECT coalesce(max(n), -1) FROM spawned WHERE parent = ?", (parent,))
        place: int = known[0][0]
        for child in children:
            place += self.connection.execute(
                "INSERT INTO spawned (child, parent, n) VALUES (?, ?, ?) ON CONFLICT (child) DO NOTHING",
                (child, parent, place + 1),
            )

    def _claimed(self, new: NewJob) -> JobRow:
        """Complete a row that was made from its result alone. Its id proves that it belongs to this submitter."""
        self.connection.execute(
            "UPDATE job SET submitter = ?, fingerprint = ? WHERE id = ?", (new.submitter, new.fingerprint, new.id)
        )
        return self.reader.get(new.id)

    def adopt(self, result: Result, *, size_bytes: int, now: float) -> None:
        """Insert a row for a finished job without one: it came by plain Celery, or its row was lost with a ledger."""
        self._last_seq += 1
        self.connection.execute(
            "INSERT INTO job (seq, id, task, arguments, power, retries, submitter, fingerprint, state,"
            " accepted_at, finished_at, attempts, size_bytes, message) VALUES (?,?,?,?,?,0,?,x'',?,?,?,?,?,?)"
            " ON CONFLICT (id) DO NOTHING",
            (
                *(self._last_seq, result.id, result.task, msgspec.json.encode([result.args, result.kwargs])),
                *(Power.NORMAL.value, result.submitter or "amqp", result.state.value),
                *(result.started_at or now, result.finished_at, result.attempts, size_bytes, _short(result)),
            ),
        )
        if result.children:
            self.link(result.id, result.children)

    def mark_queued(self, message_keys: Iterable[MessageKey]) -> None:
        """Record that the broker has confirmed the messages with these keys. A confirm of an older one is ignored."""
        self.connection.execute_many(
            "UPDATE job SET state = 'queued' WHERE seq = ? AND failures = ? AND power = ? AND state = 'accepted'",
            message_keys,
        )

    def mark_retrying(self, job_id: str, *, failures: int, due_at: float, message: str) -> bool:
        """Record a failure with retries left. Return False if it was recorded before or the job has ended."""
        changed = self.connection.execute(
            f"UPDATE job SET state = 'retrying', failures = ?, due_at = ?, message = ?"
            f" WHERE id = ? AND failures < ? AND {IS_OPEN}",
            (failures, due_at, message[:200], job_id, failures),
        )
        return changed > 0

    def mark_due(self, job_ids: Iterable[str]) -> None:
        """Make these jobs ready to be published again, because their back-off is over."""
        self.connection.execute_many(
            "UPDATE job SET state = 'accepted', due_at = NULL WHERE id = ? AND state = 'retrying'",
            ((job_id,) for job_id in job_ids),
        )

    def hurry(self, job_ids: Iterable[str]) -> None:
        """Give these jobs the class `normal` and publish them again, because their deadline has come.

        The message in the queue of surplus power stays there and is harmless: a worker looks for a result first.
        """
        self.connection.execute_many(
            "UPDATE job SET power = 'normal', state = CASE state WHEN 'queued' THEN 'accepted' ELSE state END"
            f" WHERE id = ? AND power = 'surplus' AND {IS_OPEN}",
            ((job_id,) for job_id in job_ids),
        )

    def meet(self) -> None:
        """Record in the file that it has been compared with the broker's store."""
        self.connection.meet()

    def requeue_all(self) -> int:
        """Make all queued jobs ready to be published again, as the broker may have lost them. Return their number."""
        return self.connection.execute("UPDATE job SET state = 'accepted' WHERE state = 'queued'")

    def repair_rows(self) -> None:
        """Repair the rows that `damage.rot` finds. Their jobs run again, or their results close them.

        If the index of ids had lost a job, the job may have two rows, and `REINDEX` fails on them. So second rows are
        deleted first.
        """
        self.connection.execute(
            "DELETE FROM job NOT INDEXED WHERE seq NOT IN (SELECT min(seq) FROM job NOT INDEXED GROUP BY id)"
        )
        self.connection.execute("REINDEX")
        self.connection.execute(f"UPDATE job SET power = 'normal' WHERE {ODD_POWER}")
        self.connection.execute(f"UPDATE job SET state = 'accepted', finished_at = NULL WHERE {ODD_STATE}")

    def finish(self, result: Result, *, size_bytes: int) -> bool:
        """Close the row of a job after its durable result was noticed. Return False if it has no open row."""
        return self.connection.execute(_FINISH, _ending(result, size_bytes)) > 0

    def finish_all(self, ended: Sequence[tuple[Result, int]], *, now: float) -> Followers:
        """Close the rows of these results, each with its size in bytes. A result without a row gets a closed row.

        Returns the jobs that waited for them.
        """
        closed = self.connection.execute_many(_FINISH, (_ending(result, size_bytes) for result, size_bytes in ended))
        if closed < len(ended):  # some were closed before, or came by plain Celery
            for result, size_bytes in ended:
                self.adopt(result, size_bytes=size_bytes, now=now)
        return self.fire((result.id, result.state.value) for result, _ in ended)

    def redate(self, job_ids: Iterable[str], *, now: float) -> None:
        """Count the age of these jobs from `now` on, because they ended while the board did not know the time."""
        self.connection.execute_many(
            f"UPDATE job SET finished_at = ? WHERE id = ? AND NOT {IS_OPEN}", ((now, job_id) for job_id in job_ids)
        )

    def reprioritise(self, job_id: str, priority: int) -> JobRow:
        """Give an open job another priority. Raises UnknownJob."""
        self.connection.execute(f"UPDATE job SET priority = ? WHERE id = ? AND {IS_OPEN}", (priority, job_id))
        return self.reader.get(job_id)

    def ask_cancel(self, job_id: str) -> JobRow:
        """Record a request to cancel an open job, and return its row. Raises UnknownJob."""
        self.connection.execute(f"UPDATE job SET cancel = 1 WHERE id = ? AND {IS_OPEN}", (job_id,))
        return self.reader.get(job_id)

    def ask_remove(self, job_ids: Iterable[str]) -> None:
        """Record a request to remove finished jobs. Open jobs are not changed."""
        self.connection.execute_many(
            f"UPDATE job SET remove = 1 WHERE id = ? AND NOT {IS_OPEN}", ((job_id,) for job_id in job_ids)
        )

    def drop(self, job_id: str) -> None:
        """Remove the row of a job whose tombstone is durable."""
        self.connection.execute("DELETE FROM job WHERE id = ?", (job_id,))
        self.connection.execute("DELETE FROM spawned WHERE parent = ?", (job_id,))
        if self._has_edges:
            self.connection.execute("DELETE FROM after WHERE child = ?", (job_id,))


def _ending(result: Result, size_bytes: int) -> tuple[str | float | int, ...]:
    """Return the values of `_FINISH`."""
    return (result.state.value, result.finished_at, result.attempts, size_bytes, _short(result), result.id)


def _short(result: Result) -> str:
    return result.failure.message[:200] if result.failure else ""
