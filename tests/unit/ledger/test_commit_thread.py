"""Concurrent writers share commits. Each gets only its own error, or the error of the whole commit."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from edge.core.errors import StorageError, UnknownJob
from edge.ledger.checkpointer import Checkpointer
from edge.ledger.commit_thread import CommitThread
from edge.ledger.connection import Connection
from edge.ledger.rows import NewJob
from edge.ledger.wal import WriteAheadLog
from edge.ledger.writer import LedgerWriter
from edge.model import Power, new_job_id


class CountingLedger(LedgerWriter):
    """Counts commits, and fails them on demand."""

    commits = 0
    durable: tuple[bool, ...] = ()  # durability of each commit
    broken: Exception | None = None
    gate: threading.Event | None = None

    def transaction(self, *, durable: bool) -> AbstractContextManager[None]:
        if self.gate is not None:
            self.gate.wait(10)
        if self.broken is not None:
            raise self.broken
        self.commits += 1
        self.durable = (*self.durable, durable)
        return super().transaction(durable=durable)


@pytest.fixture
def ledger(tmp_path: Path) -> CountingLedger:
    return CountingLedger.open(tmp_path / "l")


@pytest.fixture
def writer(ledger: CountingLedger) -> Iterator[CommitThread]:
    writer = CommitThread(ledger)
    writer.start()
    yield writer
    writer.close()


def add(ledger: LedgerWriter) -> str:
    job = NewJob(new_job_id(), "t", [], {}, Power.NORMAL, 0, None, "me", b"")
    return ledger.add(job, now=1.0).job.id


def test_writes_that_wait_together_share_one_commit(ledger: CountingLedger, writer: CommitThread) -> None:
    """A hundred submits that arrive during one commit cost one more commit."""
    ledger.gate = threading.Event()
    futures = [writer.write(add, durable=True) for _ in range(100)]
    ledger.gate.set()
    assert len({future.result(10) for future in futures}) == 100
    assert ledger.commits <= 2


def test_one_refused_write_does_not_touch_its_neighbours(ledger: CountingLedger, writer: CommitThread) -> None:
    """A refused job does not affect the other writes of the commit."""
    ledger.gate = threading.Event()
    good = writer.write(add, durable=True)
    bad = writer.write(lambda each: each.reader.get("nobody"), durable=True)
    also_good = writer.write(add, durable=True)
    ledger.gate.set()
    assert good.result(10) != also_good.result(10)
    with pytest.raises(UnknownJob):
        bad.result(10)


def test_a_late_write_rides_with_the_next_commit(
    ledger: CountingLedger, writer: CommitThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs no separate commit while other writes come, and is done before later ones."""
    monkeypatch.setattr("edge.ledger.commit_thread._LATE_S", 60.0)
    late = [writer.write(lambda each: each.open_jobs, durable=False, late=True) for _ in range(3)]
    assert writer.write(add, durable=True).result(10)
    assert [future.result(0) for future in late] == [0, 0, 0]
    assert ledger.commits == 1


def test_a_late_write_does_not_wait_for_ever(writer: CommitThread) -> None:
    """Without other writes it is written alone, soon."""
    assert writer.write(lambda each: each.open_jobs, durable=False, late=True).result(10) == 0


@pytest.mark.parametrize("error", [StorageError("ledger", OSError(28, "No space left on device")), RuntimeError("?")])
def test_everyone_in_a_failed_commit_learns_of_it(
    ledger: CountingLedger, writer: CommitThread, error: Exception
) -> None:
    """Every waiting caller gets the error, none gets a success, and the thread continues."""
    ledger.broken = error
    futures = [writer.write(add, durable=True) for _ in range(3)]
    for future in futures:
        with pytest.raises(type(error)):
            future.result(10)
    ledger.broken = None
    assert writer.write(add, durable=True).result(10)


def test_an_unexpected_error_in_one_write_is_its_own(ledger: CountingLedger, writer: CommitThread) -> None:
    """An internal error in a write is rolled back, and affects neither other writes nor the thread."""

    def fault(each: LedgerWriter) -> None:
        add(each)
        raise ZeroDivisionError

    def twice(each: LedgerWriter) -> None:
        job_id = add(each)
        each.connection._db.execute("INSERT INTO job SELECT * FROM job WHERE id = ?", (job_id,))

    ledger.gate = threading.Event()
    before = writer.write(add, durable=True)
    bad = [writer.write(fault, durable=True), writer.write(twice, durable=True)]
    after = writer.write(add, durable=True)
    ledger.gate.set()
    for each, error in zip(bad, (ZeroDivisionError, sqlite3.IntegrityError), strict=True):
        with pytest.raises(error):
            each.result(10)
    assert before.result(10) != after.result(10)
    assert writer.write(lambda each: each.open_jobs, durable=True).result(10) == 2


def test_closing_writes_what_is_queued_and_refuses_more(tmp_path: Path) -> None:
    """A shutdown drops no accepted write."""
    writer = CommitThread(LedgerWriter.open(tmp_path / "l"))
    writer.start()
    futures = [writer.write(add, durable=False) for _ in range(20)]
    writer.close()
    assert all(future.done() for future in futures)
    with pytest.raises(StorageError, match="shutting down"):
        writer.write(add, durable=True)
    again = LedgerWriter.open(tmp_path / "l")
    assert again.open_jobs == 20
    again.close()


def test_the_log_goes_into_the_file_beside_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint happens once enough was written, while the file is in use."""
    monkeypatch.setattr("edge.ledger.wal.WORTH_PAGES", 40)
    writer = CommitThread(LedgerWriter.open(tmp_path / "l"))
    writer.start()
    try:
        before = (tmp_path / "l").stat().st_size
        deadline = time.monotonic() + 20
        while (tmp_path / "l").stat().st_size <= before:
            assert time.monotonic() < deadline
            writer.write(add, durable=True).result(10)
    finally:
        writer.close()


def test_a_log_that_cannot_go_into_the_file_makes_the_ledger_doubt_it(
    ledger: CountingLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next commit then empties the log before it confirms anything."""
    doubted = threading.Event()
    log = WriteAheadLog()
    keeper = Checkpointer(tmp_path / "nowhere" / "l", log, failed=doubted.set)
    keeper.start()
    log.begin_commit()
    log.end_commit(100_000)
    keeper.look()
    assert doubted.wait(10)
    keeper.close()
    assert "cannot be copied into its file" in caplog.text
    ledger.connection.doubt()
    emptied: list[bool] = []
    real = ledger.connection._empty_log

    def watched() -> None:
        emptied.append(True)
        real()

    monkeypatch.setattr(ledger.connection, "_empty_log", watched)
    with ledger.transaction(durable=True):
        add(ledger)
    assert emptied == [True]
    ledger.close()


def test_a_ledger_that_cannot_be_opened_again_yet_keeps_its_writer(
    ledger: CountingLedger, writer: CommitThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction could not be rolled back and the disk is away. Each write gets the error."""

    def away(_self: Connection, *, create: bool) -> None:
        raise StorageError("ledger", OSError(5, "Input/output error"))

    writer.write(add, durable=True).result(10)
    with monkeypatch.context() as gone:
        gone.setattr(Connection, "_open", away)
        ledger.connection._stuck = True
        for _ in range(2):
            with pytest.raises(StorageError, match="Input/output"):
                writer.write(add, durable=True).result(10)
    writer.write(add, durable=True).result(10)
    assert writer.totals.open_jobs == 2


def test_one_durable_write_makes_the_shared_commit_durable(ledger: CountingLedger, writer: CommitThread) -> None:
    """A job that is accepted in one commit with the broker's confirms is durable."""
    ledger.gate = threading.Event()
    writer.write(add, durable=False)
    futures = [writer.write(add, durable=durable) for durable in (False, True, False)]
    ledger.gate.set()
    for future in futures:
        future.result(10)
    assert ledger.durable[-1]
