"""The ledger: every accepted job, one SQLite file, written by the gateway alone.

A plain synchronous store: `LedgerWriter` gives it a thread, groups its writes and decides which commit must be
durable. Order is `seq`, never a time: a board without a clock may jump decades.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from edge.errors import KeyReused, StorageError
from edge.jobs import schema, totals
from edge.jobs.ledger_log import MOST_PAGES
from edge.jobs.rows import ODD_POWER, ODD_STATE, Accepted, Edition, Job, NewJob
from edge.jobs.totals import Totals
from edge.jobs.view import IS_OPEN, LedgerView
from edge.model import JobState, Power, Result

#: Of a new file. A commit writes each page it touched, and a row is small: with pages of 4 KiB a job cost the card
#: twice as much.
_PAGE_BYTES = 1024


class Ledger(LedgerView):
    """The one connection that writes. Not thread-safe; every method is one short indexed statement or few."""

    _mode = "rwc"
    _last_seq = 0
    _suspect = False  # an error of the disk came between, see `transaction`
    _corrupt = False  # an index did not say what its row does
    _stuck = False  # a transaction could not even be undone

    def _open(self) -> None:
        """As anybody opens it, but whatever our umask is only we write it and only our group reads it."""
        with suppress(OSError):  # SQLite says what is wrong with the file
            if self.path.exists():
                self.path.chmod(self.path.stat().st_mode & 0o640)
            else:  # its log gets the same mode
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
        super()._open()

    def _opened(self) -> None:
        self._synchronous = ""
        self._db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA cache_size = -2000")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")
        schema.bring_up(self._db)
        totals.count_along(self._db)
        self.unmet = schema.unmet(self._db)  # no broker had anything of this file's jobs
        self._last_seq = max(self._last_seq, self._value("SELECT coalesce(max(seq), 0) FROM job"))
        self.totals: Totals = totals.read(self._db)

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """All writes inside become one commit: synced to the card when `durable`, else with the next that is.

        Raises StorageError when the disk refuses; then nothing of it has happened. After that the log itself is
        suspect: a failed sync may have lost frames that were written before, and one after the hole would "succeed"
        and be dropped at the next start. So it is emptied into the file first.
        """
        try:
            if self._stuck:
                self.close()
                self._open()
                self._stuck = False
            if self._suspect:
                self._empty_log()
            if self._corrupt:
                self._corrupt = False
                with suppress(sqlite3.Error):
                    self._db.execute("REINDEX")
            self._sync("FULL" if durable else "NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            now = totals.read(self._db)
            self._db.execute("COMMIT")
            self.totals = now
        except BaseException as err:
            self._undo()
            if isinstance(err, sqlite3.Error):
                self._suspect = True
                self._corrupt = getattr(err, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
                raise StorageError("ledger", err) from err
            raise

    def _undo(self) -> None:
        """End a failed transaction; where the disk refuses even that, the connection is of no use any more."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._stuck = True

    @property
    def changes(self) -> int:
        """Changes made since the file was opened, those of triggers too."""
        return self._db.total_changes

    def doubt(self) -> None:
        """An error of the disk was seen elsewhere: trust the log no longer. From any thread."""
        self._suspect = True

    def _sync(self, how: str) -> None:
        if how != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {how}")
            self._synchronous = how

    def _empty_log(self) -> None:
        """Bring all of the write-ahead log into the file, synced. Raises sqlite3.Error."""
        self._sync("FULL")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the log could not be emptied after an error of the disk")
        self._suspect = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a transaction: what raises is undone alone."""
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO one")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE one")

    # ---- writes: inside `transaction` ----

    def prove(self) -> None:
        """Write one page that says what it said before: the disk takes it, or the transaction raises."""
        self._db.execute(f"PRAGMA user_version = {schema.VERSION}")

    @property
    def open_jobs(self) -> int:
        """How many jobs have no result, those of this very transaction too."""
        return totals.open_jobs(self._db)

    def add(self, new: NewJob, *, now: float) -> Accepted:
        """Put a job in, or find the one its idempotency key brought before. Raises KeyReused."""
        if new.key:
            known = self.find(new.id)
            if known is not None:
                if not known.fingerprint:
                    return Accepted(self._claimed(new), created=False)
                if known.fingerprint != new.fingerprint:
                    raise KeyReused(new.key, new.id)
                return Accepted(known, created=False)
        arguments = msgspec.json.encode([new.args, new.kwargs])
        # Never a number twice while we live, not that of a removed job either: the broker may yet confirm it.
        self._last_seq += 1
        self._db.execute(
            "INSERT INTO job (seq, id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state,"
            " accepted_at, deadline_s, max_temp_c) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(self._last_seq, new.id, new.task, arguments, new.power.value, new.retries, new.time_limit_s),
                *(new.submitter, new.fingerprint, JobState.ACCEPTED.value, now),
                *(new.deadline_s, new.max_temp_c),
            ),
        )
        job = Job(
            seq=self._last_seq,
            id=new.id,
            task=new.task,
            arguments=arguments,
            power=new.power,
            retries=new.retries,
            time_limit_s=new.time_limit_s,
            submitter=new.submitter,
            fingerprint=new.fingerprint,
            state=JobState.ACCEPTED,
            accepted_at=now,
            deadline_s=new.deadline_s,
            max_temp_c=new.max_temp_c,
        )
        return Accepted(job, created=True)

    def _claimed(self, new: NewJob) -> Job:
        """A row made from its result alone. The id comes from submitter and key, so it is this submitter's."""
        self._db.execute(
            "UPDATE job SET submitter = ?, fingerprint = ? WHERE id = ?", (new.submitter, new.fingerprint, new.id)
        )
        return self.get(new.id)

    def adopt(self, result: Result, *, size_bytes: int, now: float) -> None:
        """Give a row to a finished job that has none: it came by plain Celery, or its row was lost with a ledger."""
        self._last_seq += 1
        self._db.execute(
            "INSERT INTO job (seq, id, task, arguments, power, retries, submitter, fingerprint, state,"
            " accepted_at, finished_at, attempts, size_bytes, message) VALUES (?,?,?,?,?,0,?,x'',?,?,?,?,?,?)"
            " ON CONFLICT (id) DO NOTHING",
            (
                *(self._last_seq, result.id, result.task, msgspec.json.encode([result.args, result.kwargs])),
                *(Power.NORMAL.value, result.submitter or "amqp", result.state.value),
                *(result.started_at or now, result.finished_at, result.attempts, size_bytes, _short(result)),
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
            f" WHERE id = ? AND failures < ? AND {IS_OPEN}",
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
            f" WHERE id = ? AND power = 'surplus' AND {IS_OPEN}",
            ((job_id,) for job_id in job_ids),
        )

    def meet(self) -> None:
        """A broker's store belongs to this file from now on."""
        schema.met(self._db)

    def requeue_all(self) -> int:
        """Publish every open job anew: the broker has lost its store. How many there are."""
        return self._db.execute("UPDATE job SET state = 'accepted' WHERE state = 'queued'").rowcount

    def heal(self) -> None:
        """Mend what `damage.rot` finds: the job runs once more, or is closed by the result it has."""
        self._db.execute("REINDEX")
        self._db.execute(f"UPDATE job SET power = 'normal' WHERE {ODD_POWER}")
        self._db.execute(f"UPDATE job SET state = 'accepted', finished_at = NULL WHERE {ODD_STATE}")

    def finish(self, result: Result, *, size_bytes: int) -> bool:
        """Close the row of a job whose durable result was seen; False when there is no open row of it."""
        changed = self._db.execute(
            f"UPDATE job SET state = ?, finished_at = ?, due_at = NULL, attempts = ?, size_bytes = ?, message = ?,"
            f" cancel = 0 WHERE id = ? AND {IS_OPEN}",
            (result.state.value, result.finished_at, result.attempts, size_bytes, _short(result), result.id),
        )
        return changed.rowcount > 0

    def redate(self, job_ids: Iterable[str], *, now: float) -> None:
        """Count the age of these from now on: they ended when the board did not know the time."""
        self._db.executemany(
            f"UPDATE job SET finished_at = ? WHERE id = ? AND NOT {IS_OPEN}", ((now, job_id) for job_id in job_ids)
        )

    def ask_cancel(self, job_id: str) -> Job:
        """Note that the submitter wants an open job cancelled. Raises UnknownJob."""
        self._db.execute(f"UPDATE job SET cancel = 1 WHERE id = ? AND {IS_OPEN}", (job_id,))
        return self.get(job_id)

    def ask_remove(self, job_ids: Iterable[str]) -> None:
        """Note that finished jobs are to go; open ones are not touched."""
        self._db.executemany(
            f"UPDATE job SET remove = 1 WHERE id = ? AND NOT {IS_OPEN}", ((job_id,) for job_id in job_ids)
        )

    def drop(self, job_id: str) -> None:
        """Forget a job whose tombstone is durable."""
        self._db.execute("DELETE FROM job WHERE id = ?", (job_id,))


def _short(result: Result) -> str:
    return result.failure.message[:200] if result.failure else ""
