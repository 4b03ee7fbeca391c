"""No checkpoint starts that could trigger SQLite's WAL-reset bug, and the log stays bounded."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.ledger import wal
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import Power, new_job_id


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    with closing(LedgerWriter.open(tmp_path / "l")) as ledger:
        yield ledger


@pytest.fixture
def beside(ledger: LedgerWriter) -> Iterator[sqlite3.Connection]:
    """The connection of the checkpointer."""
    with closing(sqlite3.connect(ledger.connection.path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        yield db


def commit(ledger: LedgerWriter) -> str:
    with ledger.transaction(durable=False):
        return ledger.add(NewJob(new_job_id(), "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=1.0).job.id


def test_a_complete_checkpoint_is_followed_by_none_before_a_commit(
    ledger: LedgerWriter, beside: sqlite3.Connection
) -> None:
    """The bug needs such a second checkpoint. After a commit a checkpoint may start again."""
    started: list[str] = []
    beside.set_trace_callback(started.append)
    log = ledger.connection.log
    commit(ledger)
    assert [log.checkpoint(beside), log.checkpoint(beside), log.checkpoint(beside)] == [True, False, False]
    assert len(started) == 1
    commit(ledger)
    assert [log.checkpoint(beside), log.checkpoint(beside)] == [True, False]
    assert len(started) == 2


def test_a_transaction_that_failed_is_no_commit(ledger: LedgerWriter, beside: sqlite3.Connection) -> None:
    """A rolled back transaction writes nothing to the log."""
    log = ledger.connection.log
    commit(ledger)
    assert log.checkpoint(beside)
    with pytest.raises(ZeroDivisionError), ledger.transaction(durable=True):
        raise ZeroDivisionError
    assert not log.checkpoint(beside)


def test_a_commit_during_a_checkpoint_does_not_count_as_later(ledger: LedgerWriter, beside: sqlite3.Connection) -> None:
    """The checkpoint may have copied it already. The next commit counts."""
    log = ledger.connection.log
    commit(ledger)
    log.begin_commit()
    assert log.checkpoint(beside)
    log.end_commit(1)
    assert not log.checkpoint(beside)
    commit(ledger)
    assert log.checkpoint(beside)


def test_the_writers_own_checkpoint_counts_too(
    ledger: LedgerWriter, beside: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer checkpoints a log that is too long. After that the other connection has nothing to copy."""
    monkeypatch.setattr(wal, "WORTH_PAGES", 20)
    monkeypatch.setattr(wal, "MOST_PAGES", 40)
    before = ledger.connection.path.stat().st_size
    while ledger.connection.path.stat().st_size == before:
        commit(ledger)
    assert not ledger.connection.log.checkpoint(beside)


def test_a_checkpoint_that_a_reader_held_up_may_be_followed_by_another(
    ledger: LedgerWriter, beside: sqlite3.Connection
) -> None:
    """It was not complete, so no commit can restart the log."""
    commit(ledger)
    with closing(sqlite3.connect(ledger.connection.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchone()
        commit(ledger)
        assert ledger.connection.log.checkpoint(beside)
        assert ledger.connection.log.checkpoint(beside)
    assert ledger.connection.log.checkpoint(beside)
    assert not ledger.connection.log.checkpoint(beside)


def test_commits_beside_checkpoints_without_a_pause_lose_nothing(
    ledger: LedgerWriter, beside: sqlite3.Connection
) -> None:
    """Two connections work at once without a pause. The file is sound, and every job is in it."""
    ended = threading.Event()
    checkpoints = 0

    def checkpoint() -> None:
        nonlocal checkpoints
        while not ended.is_set():
            checkpoints += ledger.connection.log.checkpoint(beside)

    thread = threading.Thread(target=checkpoint)
    thread.start()
    try:
        ids = {commit(ledger) for _ in range(1500)}
    finally:
        ended.set()
        thread.join()
    assert checkpoints > 1
    ledger.close()
    with closing(sqlite3.connect(ledger.connection.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert {row[0] for row in db.execute("SELECT id FROM job")} == ids
