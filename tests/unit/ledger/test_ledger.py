"""The ledger keeps its committed rows in order, and answers queries by short statements."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.clock import EARLIEST
from edge.core.errors import KeyReused, StorageError, UnknownJob
from edge.ledger.reader import IS_OPEN
from edge.ledger.recovery.damage import damage, rot
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import Failure, FailureCode, JobState, Power, Result, derived_job_id, new_job_id


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    ledger = LedgerWriter.open(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def new(job_id: str | None = None, *, key: str = "", fingerprint: bytes = b"f", power: Power = Power.NORMAL) -> NewJob:
    return NewJob(
        id=job_id or (derived_job_id("me", key) if key else new_job_id()),
        task="solve",
        args=[1, "What is 50 divided by 2?"],
        kwargs={"a": None},
        power=power,
        retries=2,
        time_limit_s=1.5,
        submitter="me",
        fingerprint=fingerprint,
        key=key,
    )


def put(ledger: LedgerWriter, *jobs: NewJob) -> list[str]:
    with ledger.transaction(durable=True):
        return [ledger.add(job, now=1000.0).job.id for job in jobs]


def done(job_id: str, state: JobState = JobState.SUCCEEDED) -> Result:
    failure = Failure(FailureCode.EXCEPTION, "boom " * 100) if state is JobState.FAILED else None
    return Result(id=job_id, task="solve", state=state, failure=failure, finished_at=2000.0, attempts=3)


def test_a_durable_commit_waits_for_the_card(ledger: LedgerWriter) -> None:
    """SQLite syncs its log in a commit only with `synchronous = FULL`, which is 2.

    A commit that is not durable does not sync. A log that may be damaged is also copied into the file with a sync.
    """

    def synchronous() -> int:
        return int(ledger.connection._db.execute("PRAGMA synchronous").fetchone()[0])

    found = []
    for durable in (True, False, True, True, False):
        with ledger.transaction(durable=durable):
            ledger.add(new(), now=1000.0)
            found.append(synchronous())
    assert found == [2, 1, 2, 2, 1]
    ledger.connection._empty_log()
    assert synchronous() == 2


def test_a_row_outlives_the_process(tmp_path: Path) -> None:
    """After opening the file again, every field of a committed row is there."""
    first = LedgerWriter.open(tmp_path / "l")
    (job_id,) = put(first, new())
    before = first.reader.get(job_id)
    first.close()
    again = LedgerWriter.open(tmp_path / "l")
    assert again.reader.get(job_id) == before
    assert again.open_jobs == 1
    assert before.call() == ([1, "What is 50 divided by 2?"], {"a": None})
    assert (before.retries, before.time_limit_s, before.state) == (2, 1.5, JobState.ACCEPTED)
    again.close()


def test_the_same_key_and_body_is_the_same_job(ledger: LedgerWriter) -> None:
    """A resubmit finds its job. Another body with the same key is refused and changes nothing."""
    (job_id,) = put(ledger, new(key="k"))
    with ledger.transaction(durable=True):
        again = ledger.add(new(key="k"), now=5.0)
    assert (again.job.id, again.created) == (job_id, False)
    with pytest.raises(KeyReused, match="'k'"), ledger.transaction(durable=True):
        ledger.add(new(key="k", fingerprint=b"other"), now=5.0)
    assert ledger.open_jobs == 1


def test_a_failed_transaction_leaves_nothing(ledger: LedgerWriter) -> None:
    """An error inside rolls back all changes, the count of open jobs too."""

    class Stop(Exception):
        pass

    with pytest.raises(Stop), ledger.transaction(durable=True):
        ledger.add(new(), now=1.0)
        raise Stop
    assert ledger.connection.totals.jobs == {}
    assert ledger.open_jobs == 0


def test_a_savepoint_undoes_one_write_of_many(ledger: LedgerWriter) -> None:
    """In one commit, a write that fails undoes only its own changes."""
    with ledger.transaction(durable=True):
        with ledger.connection.savepoint():
            ledger.add(new("stays"), now=1.0)
        with pytest.raises(UnknownJob), ledger.connection.savepoint():
            ledger.add(new("goes"), now=1.0)
            ledger.reader.get("nobody")
    assert ledger.reader.find("stays") is not None
    assert ledger.reader.find("goes") is None
    assert ledger.open_jobs == 1


def test_the_way_of_a_job_through_its_states(ledger: LedgerWriter) -> None:
    """Accepted, queued, retrying, accepted again, finished: each step is stored, and late messages change nothing."""
    (job_id,) = put(ledger, new())
    message_key = ledger.reader.get(job_id).message_key
    with ledger.transaction(durable=False):
        ledger.mark_queued([message_key])
    assert ledger.reader.unpublished(after_seq=0, limit=9) == []
    with ledger.transaction(durable=False):
        assert ledger.mark_retrying(job_id, failures=1, due_at=9.0, message="boom")
        assert not ledger.mark_retrying(job_id, failures=1, due_at=99.0, message="boom")
    assert [job.id for job in ledger.reader.retrying()] == [job_id]
    with ledger.transaction(durable=False):
        ledger.mark_due([job_id])
        ledger.mark_queued([message_key])  # a late confirm of the broker for the failed attempt
    assert [job.id for job in ledger.reader.unpublished(after_seq=0, limit=9)] == [job_id]
    with ledger.transaction(durable=False):
        assert ledger.finish(done(job_id, JobState.FAILED), size_bytes=77)
        assert not ledger.finish(done(job_id), size_bytes=1)
        ledger.mark_queued([message_key])
        assert not ledger.mark_retrying(job_id, failures=2, due_at=9.0, message="late")
    job = ledger.reader.get(job_id)
    assert (job.state, job.attempts, job.size_bytes, job.finished_at) == (JobState.FAILED, 3, 77, 2000.0)
    assert len(job.message) == 200
    assert ledger.open_jobs == 0


def test_pages_go_back_from_the_newest(ledger: LedgerWriter) -> None:
    """Pages are newest first, without overlap, filtered by state, task and submitter."""
    ids = put(ledger, *(new() for _ in range(7)))
    with ledger.transaction(durable=False):
        ledger.finish(done(ids[3]), size_bytes=1)
    first = ledger.reader.page(limit=3)
    rest = ledger.reader.page(before_seq=first[-1].seq, limit=10)
    assert [job.id for job in first + rest] == ids[::-1]
    assert [job.id for job in ledger.reader.page(states=[JobState.SUCCEEDED])] == [ids[3]]
    assert ledger.reader.page(task="other") == []
    assert ledger.reader.page(submitter="you") == []
    assert ledger.connection.totals.jobs == {JobState.ACCEPTED: 6, JobState.SUCCEEDED: 1}


def test_jobs_with_large_arguments_are_read_few_at_a_time(ledger: LedgerWriter) -> None:
    """A board with 512 MB has no memory for 256 megabytes of arguments, neither to publish nor to list jobs."""
    large = [msgspec.structs.replace(new(), args=["x" * 1_000_000]) for _ in range(6)]
    ids = put(ledger, *large)
    seen: list[str] = []
    after_seq = 0
    while jobs := ledger.reader.unpublished(after_seq=after_seq, limit=256):
        assert sum(len(job.arguments) for job in jobs) < 4_000_000
        seen += [job.id for job in jobs]
        after_seq = jobs[-1].seq
    assert seen == ids
    assert [job.arguments for job in ledger.reader.page()] == [b""] * 6


def test_ahead_counts_older_open_jobs_of_the_same_class(ledger: LedgerWriter) -> None:
    """Finished jobs and jobs of other classes do not count."""
    ids = put(ledger, new(), new(power=Power.SURPLUS), new(), new())
    with ledger.transaction(durable=False):
        ledger.finish(done(ids[0]), size_bytes=1)
    assert ledger.reader.ahead(ledger.reader.get(ids[3])) == 1


def test_ahead_counts_the_kinds_of_the_same_queue(ledger: LedgerWriter) -> None:
    """The kinds of a queue are the named ones, or all others."""
    other = msgspec.structs.replace(new(), task="fetch")
    *_, last = put(ledger, new(), other, msgspec.structs.replace(other, id=new_job_id()), new())
    job = ledger.reader.get(last)
    assert ledger.reader.ahead(job, tasks={"fetch"}, only=True) == 2
    assert ledger.reader.ahead(job, tasks={"fetch"}) == 1
    assert ledger.reader.ahead(job, only=True) == 0


def test_a_plain_celery_result_gets_a_row_once(ledger: LedgerWriter) -> None:
    """A result without a row gets a finished one. A second notice changes nothing."""
    for _ in range(2):
        with ledger.transaction(durable=False):
            ledger.adopt(done("celery-1"), size_bytes=10, now=1.0)
    job = ledger.reader.get("celery-1")
    assert (job.submitter, job.state, job.size_bytes) == ("amqp", JobState.SUCCEEDED, 10)
    assert ledger.reader.ids_with_prefix("c") == {"celery-1": False}


def test_cancel_is_for_open_jobs_and_remove_for_finished_ones(ledger: LedgerWriter) -> None:
    """Each request is stored only for such a job, and listed until it is carried out."""
    open_id, ended_id = put(ledger, new(), new())
    with ledger.transaction(durable=True):
        ledger.finish(done(ended_id), size_bytes=5)
        assert ledger.ask_cancel(open_id).cancel
        assert not ledger.ask_cancel(ended_id).cancel
        ledger.ask_remove([open_id, ended_id])
    assert [(job.id, job.cancel, job.remove) for job in ledger.reader.asked()] == [
        (open_id, True, False),
        (ended_id, False, True),
    ]
    assert ledger.connection.totals.finished_bytes == 0
    with ledger.transaction(durable=True):
        ledger.drop(ended_id)
    assert ledger.reader.find(ended_id) is None
    assert ledger.open_jobs == 1


def test_a_lost_broker_store_is_refilled_from_the_ledger(ledger: LedgerWriter) -> None:
    """Every open job that was published must be published again, and no finished one."""
    ids = put(ledger, new(), new(), new())
    with ledger.transaction(durable=False):
        ledger.mark_queued(ledger.reader.get(job_id).message_key for job_id in ids)
        ledger.finish(done(ids[0]), size_bytes=1)
    with ledger.transaction(durable=True):
        assert ledger.requeue_all() == 2
    assert [job.id for job in ledger.reader.unpublished(after_seq=0, limit=9)] == ids[1:]


def test_after_an_error_of_the_disk_the_log_is_emptied_before_anything_is_promised(
    ledger: LedgerWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would drop a commit after a gap in the log, so the whole log is copied into the file first."""
    put(ledger, new("before"))
    log = tmp_path / "ledger.sqlite-wal"
    assert log.stat().st_size > 0
    with pytest.raises(StorageError, match="disk I/O"), ledger.transaction(durable=True):
        raise sqlite3.OperationalError("disk I/O error")
    seen: list[int] = []
    real = ledger.connection._empty_log

    def watched() -> None:
        real()
        seen.append(log.stat().st_size)

    monkeypatch.setattr(ledger.connection, "_empty_log", watched)
    put(ledger, new("after"))
    put(ledger, new("later"))
    assert seen == [0]
    assert ledger.open_jobs == 3


def test_a_commit_on_a_file_system_that_stopped_meanwhile_is_refused(
    ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite trusts an fsync that returns 0, but ext4 may have given up its journal at that moment."""
    real, answers = os.removexattr, [errno.ENODATA, errno.EROFS]

    def removexattr(file: int | Path, name: str) -> None:
        raise OSError(answers.pop(0), "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "removexattr", removexattr)
        with pytest.raises(StorageError, match="Read-only"):
            put(ledger, new("refused"))
        answers[:] = [errno.EROFS]
        with pytest.raises(StorageError, match="Read-only"), ledger.transaction(durable=False):
            pytest.fail("the log must not be written any more")
    assert os.removexattr is real
    put(ledger, new("after"))


def test_a_log_that_cannot_be_emptied_promises_nothing(ledger: LedgerWriter, tmp_path: Path) -> None:
    """While a reader blocks the log, the ledger refuses writes. After the reader has ended it accepts them."""
    put(ledger, new("before"))
    with pytest.raises(StorageError), ledger.transaction(durable=True):
        raise sqlite3.OperationalError("disk I/O error")
    ledger.connection._db.execute("PRAGMA busy_timeout = 10")
    reader = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM job").fetchone()
    with pytest.raises(StorageError, match="could not be emptied"):
        put(ledger, new("refused"))
    reader.close()
    put(ledger, new("after"))
    assert ledger.reader.find("refused") is None
    assert ledger.open_jobs == 2


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be read as one" * 100, b"SQLite format 3\0" * 400]
)
def test_a_file_that_is_no_ledger_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    """A file with other content is named in the error, and not replaced."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="ledger"):
        LedgerWriter.open(path)
    assert path.read_bytes() == content


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """An older version of the software does not write into a newer file."""
    ledger = LedgerWriter.open(tmp_path / "l")
    ledger.connection._db.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(StorageError, match="newer version") as refused:
        LedgerWriter.open(tmp_path / "l")
    held_open = {os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()}
    assert str(tmp_path / "l") not in held_open, refused.traceback  # the traceback keeps the connection alive


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StorageError, match="nowhere"):
        LedgerWriter.open(tmp_path / "nowhere" / "l")


def test_a_deadline_makes_a_surplus_job_a_normal_one(ledger: LedgerWriter) -> None:
    """It is published again if the broker had it. A job of another class does not change."""
    jobs = [msgspec.structs.replace(new(power=power), deadline_s=60.0) for power in (Power.SURPLUS, Power.NORMAL)]
    surplus, normal = put(ledger, *jobs)
    assert [job.id for job in ledger.reader.with_deadline()] == [surplus]
    with ledger.transaction(durable=False):
        message_keys = [ledger.reader.get(job_id).message_key for job_id in (surplus, normal)]
        ledger.mark_queued(message_keys)
        ledger.hurry([surplus, normal])
        ledger.mark_queued(message_keys)  # a late confirm of the broker for the message of surplus power
    assert (ledger.reader.get(surplus).power, ledger.reader.get(surplus).state) == (Power.NORMAL, JobState.ACCEPTED)
    assert ledger.reader.get(normal).state is JobState.QUEUED
    assert ledger.reader.with_deadline() == []


def test_a_ledger_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    """Its jobs exist with the new columns empty, and new jobs can use these columns."""
    old = sqlite3.connect(tmp_path / "l", isolation_level=None)
    old.executescript(
        "CREATE TABLE job (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL,"
        " arguments BLOB NOT NULL, power TEXT NOT NULL, retries INTEGER NOT NULL, time_limit_s REAL,"
        " submitter TEXT NOT NULL, fingerprint BLOB NOT NULL, state TEXT NOT NULL, accepted_at REAL NOT NULL,"
        " finished_at REAL, due_at REAL, failures INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,"
        " cancel INTEGER NOT NULL DEFAULT 0, remove INTEGER NOT NULL DEFAULT 0,"
        " size_bytes INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '') STRICT;"
        "INSERT INTO job (id, task, arguments, power, retries, submitter, fingerprint, state, accepted_at)"
        " VALUES ('old', 'solve', x'5b5b5d2c7b7d5d', 'surplus', 0, 'me', x'', 'queued', 1.0);"
        "PRAGMA user_version = 1;"
    )
    old.close()
    for _ in range(2):
        ledger = LedgerWriter.open(tmp_path / "l")
        assert (ledger.reader.get("old").deadline_s, ledger.open_jobs) == (None, 1)
        ledger.close()
    ledger = LedgerWriter.open(tmp_path / "l")
    (job_id,) = put(ledger, msgspec.structs.replace(new(power=Power.SURPLUS), deadline_s=5.0, max_temp_c=70.0))
    assert (ledger.reader.get(job_id).deadline_s, ledger.reader.get(job_id).max_temp_c) == (5.0, 70.0)
    ledger.close()


def test_a_ledger_of_the_second_version_is_taken_over(tmp_path: Path) -> None:
    """The new index lists and counts its jobs, and the numbers of new jobs continue."""
    first = LedgerWriter.open(tmp_path / "l")
    ids = put(first, *(new() for _ in range(3)))
    with first.transaction(durable=True):
        first.finish(done(ids[0]), size_bytes=7)
    first.connection._db.executescript(
        "DROP TABLE spawned; DROP INDEX job_state; DROP TABLE after; DROP TABLE schedule; DROP TABLE slot;"
        "DROP TABLE zone_rules; DROP INDEX job_not_before; DROP INDEX job_delayed; DROP INDEX job_ranked;"
        "DROP INDEX job_unique; DROP INDEX job_files; ALTER TABLE job DROP COLUMN files;"
        "ALTER TABLE job DROP COLUMN released_seq;"
        "ALTER TABLE job DROP COLUMN priority; ALTER TABLE job DROP COLUMN delay_s;"
        "ALTER TABLE job DROP COLUMN clock; ALTER TABLE job DROP COLUMN unique_key;"
        "CREATE INDEX job_state ON job (state, seq, power); PRAGMA user_version = 2;"
    )
    first.close()
    ledger = LedgerWriter.open(tmp_path / "l")
    assert ledger.connection.totals.jobs == {JobState.ACCEPTED: 2, JobState.SUCCEEDED: 1}
    assert ledger.connection.totals.finished_bytes == 7
    assert [job.id for job in ledger.reader.page(task="solve", states=[JobState.ACCEPTED])] == ids[:0:-1]
    put(ledger, new("next"))
    assert ledger.reader.get("next").seq > ledger.reader.get(ids[-1]).seq
    ledger.close()


@given(
    times=st.lists(st.integers(0, 40), max_size=30).map(sorted),
    dropped=st.sets(st.integers(0, 29)),
    asked=st.lists(st.integers(-5, 45), max_size=8).map(sorted),
)
@settings(max_examples=60, deadline=None)
def test_the_newest_job_of_a_time_is_found(times: list[int], dropped: set[int], asked: list[int]) -> None:
    """The search finds the same as a look at all rows, also if rows are missing."""
    with TemporaryDirectory() as folder, LedgerWriter.open(Path(folder) / "l") as ledger:
        rows = list[tuple[int, float]]()
        with ledger.transaction(durable=False):
            for place, at in enumerate(times):
                job = ledger.add(new(), now=EARLIEST + at).job
                if place in dropped:
                    ledger.drop(job.id)
                else:
                    rows.append((job.seq, job.accepted_at))
        expected = [max((seq for seq, at in rows if at <= EARLIEST + until), default=0) for until in asked]
        assert ledger.reader.accepted_by([EARLIEST + until for until in asked]) == expected


def test_no_number_is_given_twice(ledger: LedgerWriter) -> None:
    """A late confirm of a removed job must not count for the job that came after it."""
    first, last = put(ledger, new(), new())
    gone = ledger.reader.get(last).message_key
    with ledger.transaction(durable=True):
        ledger.drop(last)
    (after,) = put(ledger, new())
    with ledger.transaction(durable=True):
        ledger.mark_queued([gone])
    assert {job.id for job in ledger.reader.unpublished(after_seq=0, limit=9)} == {first, after}


@given(
    steps=st.lists(st.tuples(st.sampled_from(["add", "queue", "retry", "end", "ask", "drop", "adopt"]), st.booleans()))
)
@settings(max_examples=60, deadline=None)
def test_the_running_totals_are_what_a_count_would_find(steps: list[tuple[str, bool]]) -> None:
    """This holds after any writes, even if some were rolled back as a whole or in part."""
    with TemporaryDirectory() as folder, closing(LedgerWriter.open(Path(folder) / "l")) as ledger:
        for number, (step, kept) in enumerate(steps):
            _step(ledger, step, number, kept=kept)
            rows = ledger.connection._db.execute(
                "SELECT state, count(*), sum(size_bytes * NOT remove) FROM job GROUP BY state"
            )
            counted = {JobState(state): (count, size) for state, count, size in rows}
            assert ledger.connection.totals.jobs == {state: count for state, (count, _) in counted.items()}
            assert ledger.connection.totals.finished_bytes == sum(
                size for state, (_, size) in counted.items() if state.final
            )
            assert ledger.open_jobs == ledger.connection.totals.open_jobs
            rows = ledger.connection._db.execute(f"SELECT power, count(*) FROM job WHERE {IS_OPEN} GROUP BY power")
            assert ledger.connection.totals.backlog == {**dict.fromkeys(Power, 0), **dict(rows)}
        before = ledger.connection.totals
        ledger.close()
        with closing(LedgerWriter.open(Path(folder) / "l")) as again:
            assert again.connection.totals == before


def _step(ledger: LedgerWriter, step: str, number: int, *, kept: bool) -> None:
    """Make one write to the newest job, and commit it, or roll it or half of it back to a savepoint."""
    known = ledger.reader.page(limit=1)
    newest = known[0] if known else None
    with ledger.transaction(durable=False), suppress(ZeroDivisionError), ledger.connection.savepoint():
        if step == "add" or newest is None:
            ledger.add(new(f"job-{number}"), now=1.0)
        elif step == "queue":
            ledger.mark_queued([newest.message_key])
        elif step == "retry":
            ledger.mark_retrying(newest.id, failures=newest.failures + 1, due_at=1.0, message="")
        elif step == "end":
            ledger.finish(done(newest.id), size_bytes=number + 1)
        elif step == "ask":
            ledger.ask_remove([newest.id])
        elif step == "drop":
            ledger.drop(newest.id)
        else:
            ledger.adopt(done(newest.id if number % 2 else f"celery-{number}"), size_bytes=5, now=1.0)
        if not kept:
            raise ZeroDivisionError


def test_a_page_merges_states_and_filters_in_order(ledger: LedgerWriter) -> None:
    """With every filter the newest job of all states is first, and the next page continues after the last job."""
    jobs = [msgspec.structs.replace(new(), submitter=f"s{n % 3}", task=f"t{n % 2}") for n in range(24)]
    ids = put(ledger, *jobs)
    with ledger.transaction(durable=False):
        ledger.mark_queued([ledger.reader.get(job_id).message_key for job_id in ids[::2]])
        for job_id in ids[::5]:
            ledger.finish(done(job_id), size_bytes=1)
    wanted = [job_id for job_id, job in zip(ids, jobs, strict=True) if (job.submitter, job.task) == ("s1", "t0")][::-1]
    first = ledger.reader.page(submitter="s1", task="t0", limit=2)
    rest = ledger.reader.page(submitter="s1", task="t0", limit=9, before_seq=first[-1].seq)
    assert [job.id for job in first + rest] == wanted
    over = ledger.reader.page(states=[JobState.SUCCEEDED, JobState.FAILED], limit=99)
    assert [job.id for job in over] == ids[::5][::-1]
    assert [job.id for job in ledger.reader.finished(limit=2)] == ids[::5][:2]


def test_what_a_folder_of_results_is_compared_with(ledger: LedgerWriter) -> None:
    """The query returns all ids of a prefix, open or not, and none of the next prefix."""
    put(ledger, *map(new, ("aa-1", "aa-2", "ab-1", "a.b")))
    with ledger.transaction(durable=False):
        ledger.finish(done("aa-2"), size_bytes=1)
    assert ledger.reader.ids_with_prefix("aa") == {"aa-1": True, "aa-2": False}
    assert set(ledger.reader.ids_with_prefix("a")) == {"aa-1", "aa-2", "ab-1", "a.b"}
    assert ledger.reader.open_among(["aa-1", "aa-2", "zz"]) == {"aa-1"}


def test_a_proof_writes_to_the_disk_and_changes_nothing(ledger: LedgerWriter, tmp_path: Path) -> None:
    """It adds one page to the log, so a disk that refuses writes is noticed without a job."""
    put(ledger, new("before"))
    log, row = tmp_path / "ledger.sqlite-wal", ledger.reader.get("before")
    size = log.stat().st_size
    with ledger.transaction(durable=True):
        ledger.prove()
    assert log.stat().st_size > size
    assert ledger.reader.get("before") == row


ROTTEN = {
    "state": "UPDATE job SET state = 'acceptee' WHERE id = 'b'",
    "no text": "UPDATE job SET state = CAST(x'61ff63' AS TEXT), task = CAST(x'ff' AS TEXT) WHERE id = 'b'",
    "running": "UPDATE job SET state = 'running' WHERE id = 'b'",
    "power": "UPDATE job SET power = CAST(x'6e6fff' AS TEXT) WHERE id = 'b'",
}


@pytest.mark.parametrize("harm", ROTTEN.values(), ids=ROTTEN)
def test_a_row_that_rotted_keeps_nobody_from_the_others(ledger: LedgerWriter, harm: str) -> None:
    """A damaged row is listed with its readable fields, reported and repaired. Its result closes it in any case."""
    put(ledger, new("a"), new("b"), new("c"))
    ledger.connection._db.execute(harm)
    assert [job.id for job in ledger.reader.page()] == ["c", "b", "a"]
    assert [job.id for job in ledger.reader.page(submitter="me")][-1] == "a"
    assert {"a", "c"} <= {job.id for job in ledger.reader.unpublished(after_seq=0, limit=9)}
    (told,) = rot(ledger.connection.path, limit_s=10)
    assert told.startswith("job b: state ")
    with ledger.transaction(durable=True):
        ledger.repair_rows()
    assert rot(ledger.connection.path, limit_s=10) == []
    assert [job.id for job in ledger.reader.unpublished(after_seq=0, limit=9)] == ["a", "b", "c"]
    assert ledger.connection.totals.jobs == {JobState.ACCEPTED: 3}
    ledger.connection._db.execute(harm)
    with ledger.transaction(durable=True):
        assert ledger.finish(done("b"), size_bytes=1)
    assert ledger.reader.get("b").state is JobState.SUCCEEDED


@pytest.mark.parametrize("place", ["row", "index"])
def test_a_byte_that_flips_in_the_file_is_found_and_mended(tmp_path: Path, place: str) -> None:
    """Row and index then disagree, which SQLite's quick check does not see.

    Writes to the job are refused until the index is made again. With a damaged index, most jobs are missing in lists.
    """
    path = tmp_path / "l"
    with closing(LedgerWriter.open(path)) as ledger:
        ids = put(ledger, *(new(f"job-{number:03}") for number in range(30)))
    content = path.read_bytes()
    at = content.find(b"accepted", content.find(b"job-020solve" if place == "row" else b"acceptednormal"))
    assert at > 0
    path.write_bytes(content[:at] + b"acc\xffpted" + content[at + 8 :])
    assert damage(path, limit_s=10) == ""
    with closing(LedgerWriter.open(path)) as ledger:
        assert rot(path, limit_s=10)
        with suppress(StorageError), ledger.transaction(durable=True):
            ledger.finish(done("job-020"), size_bytes=1)
        with ledger.transaction(durable=True):
            ledger.finish(done("job-020"), size_bytes=1)
            ledger.repair_rows()
        assert rot(path, limit_s=10) == []
        assert [job.id for job in ledger.reader.unpublished(after_seq=0, limit=99)] == [
            each for each in ids if each != "job-020"
        ]
        assert ledger.reader.get("job-020").state is JobState.SUCCEEDED


def test_a_job_that_the_index_of_ids_lost_has_one_row_again(tmp_path: Path) -> None:
    """A result or a resubmit did not find its row and made a second one, which prevents a new index."""
    path = tmp_path / "l"
    with closing(LedgerWriter.open(path)) as ledger:
        put(ledger, *(new(f"job-{number:03}") for number in range(30)))
    content = path.read_bytes()
    (at,) = (
        at
        for at in range(len(content))
        if content.startswith(b"job-020", at) and not content.startswith(b"solve", at + 7)
    )
    path.write_bytes(content[:at] + b"job-02\xff" + content[at + 7 :])
    with closing(LedgerWriter.open(path)) as ledger:
        assert not ledger.reader.find("job-020")
        with ledger.transaction(durable=True):
            ledger.adopt(done("job-020"), size_bytes=1, now=1.0)
        assert rot(path, limit_s=10)
        with ledger.transaction(durable=True):
            ledger.repair_rows()
        assert rot(path, limit_s=10) == []
        assert (ledger.reader.get("job-020").submitter, ledger.reader.get("job-020").state) == ("me", JobState.ACCEPTED)
        assert ledger.connection.totals.jobs == {JobState.ACCEPTED: 30}


class _NoRollback:
    """A connection to a disk that disappears in the middle of a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error in the rollback")
        return self._db.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize("error", [ZeroDivisionError("the first"), sqlite3.OperationalError("the first")])
def test_a_transaction_that_cannot_be_undone_tells_why_it_failed(
    ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The caller gets the first error, and the next transaction continues after the last commit."""
    put(ledger, new("before"))
    monkeypatch.setattr(ledger.connection, "_db", _NoRollback(ledger.connection._db))
    told = StorageError if isinstance(error, sqlite3.Error) else ZeroDivisionError
    with pytest.raises(told, match="the first"), ledger.transaction(durable=True):
        ledger.add(new("undone"), now=1.0)
        raise error
    (after,) = put(ledger, new("after"))
    assert [job.id for job in ledger.reader.page()] == ["after", "before"]
    assert ledger.connection.totals.jobs == {JobState.ACCEPTED: 2}
    assert ledger.reader.get(after).seq == 3


def test_a_ledger_whose_disk_is_gone_is_not_begun_anew(
    ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A new ledger in the empty mount point would lose its jobs when the disk comes back."""
    put(ledger, new("before"))
    monkeypatch.setattr(ledger.connection, "_db", _NoRollback(ledger.connection._db))
    with pytest.raises(ZeroDivisionError), ledger.transaction(durable=True):
        raise ZeroDivisionError
    away = ledger.connection.path.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="unable to open"):
        put(ledger, new("lost"))
    assert not ledger.connection.path.exists()
    away.rename(ledger.connection.path)
    put(ledger, new("after"))
    assert [job.id for job in ledger.reader.page()] == ["after", "before"]


def test_the_ledger_is_for_its_group_at_most(tmp_path: Path) -> None:
    """Other users may not read arguments of jobs, with any umask.

    An existing file that is open to all is restricted.
    """
    path = tmp_path / "ledger.sqlite"
    before = os.umask(0)
    try:
        for _ in range(2):
            with closing(LedgerWriter.open(path)) as ledger:
                put(ledger, new())
                assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o640}
            path.chmod(0o666)
    finally:
        os.umask(before)


def test_a_job_that_waits_for_its_retry_is_not_published_by_a_new_store(ledger: LedgerWriter) -> None:
    """It is in no queue, and its back-off continues."""
    (job_id,) = put(ledger, new())
    with ledger.transaction(durable=True):
        ledger.mark_retrying(job_id, failures=1, due_at=5.0, message="boom")
        assert ledger.requeue_all() == 0
    assert ledger.reader.get(job_id).state is JobState.RETRYING
