"""The ledger's copy is complete, or the earlier copy stays. A failed copy does not change the ledger."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.config import Config
from edge.core import durable
from edge.core.errors import StorageError
from edge.gateway.background.copies import Copies
from edge.ledger.recovery import copies
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Result


def _grow(path: Path, count: int) -> None:
    with closing(LedgerWriter.open(path)) as ledger, ledger.transaction(durable=True):
        for number in range(count):
            result = Result(f"{ledger._last_seq}-{number}", "t", JobState.SUCCEEDED, args=["x" * 2000])
            ledger.adopt(result, size_bytes=1, now=1.0)


@pytest.fixture
def ledger(config: Config) -> Path:
    config.root.mkdir()
    _grow(config.layout.ledger, 100)
    return config.layout.ledger


def test_only_what_changed_is_copied(ledger: Path, config: Config) -> None:
    """A copy of an unchanged ledger would wear the card for nothing."""
    keeper = Copies(config.layout, 3600.0)
    keeper.make()
    made = config.layout.ledger_copy.stat().st_ino
    keeper.make()
    assert config.layout.ledger_copy.stat().st_ino == made
    _grow(ledger, 1)
    keeper.make()
    assert copies.mark(config.layout.ledger_copy) == copies.mark(ledger)
    assert [path.name for path in config.root.glob(".*")] == []


def test_a_copy_is_durable_before_it_has_its_name(
    ledger: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves a complete copy, and after the return the new one."""
    target, calls = config.layout.ledger_copy, list[tuple[str, bool]]()
    file, folder = durable.sync_file, durable.sync_folder

    def sync_file(path: Path) -> None:
        calls.append(("file", target.exists()))
        file(path)

    def sync_folder(path: Path) -> None:
        calls.append(("folder", target.exists()))
        folder(path)

    monkeypatch.setattr(durable, "sync_file", sync_file)
    monkeypatch.setattr(durable, "sync_folder", sync_folder)
    copies.copy(ledger, target)
    assert calls == [("file", False), ("folder", True)]


def test_a_broken_ledger_leaves_its_copy(ledger: Path, config: Config) -> None:
    """The old copy stays, and the error is reported on the board."""
    keeper = Copies(config.layout, 3600.0)
    keeper.make()
    before = config.layout.ledger_copy.read_bytes()
    with ledger.open("r+b") as file:
        file.seek(4096 * 10)
        file.write(os.urandom(4096 * 10))
    with pytest.raises(StorageError, match="copy of the ledger"):
        copies.copy(ledger, config.layout.ledger_copy)
    assert config.layout.ledger_copy.read_bytes() == before
    assert [path.name for path in config.root.glob(".*")] == []


def test_a_full_card_is_not_filled_by_a_copy(ledger: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs need the free space more than a copy."""
    monkeypatch.setattr(copies, "_SPARE_BYTES", 1 << 60)
    keeper = Copies(config.layout, 3600.0)
    keeper.make()
    assert "no room for a copy of the ledger" in keeper.fault
    assert not config.layout.ledger_copy.exists()
    monkeypatch.undo()
    keeper.make()
    assert keeper.fault == ""


def test_a_copy_that_takes_too_long_is_given_up(ledger: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop must not wait for it, and no part of it stays."""

    @contextmanager
    def over(db: sqlite3.Connection, _limit_s: float) -> Iterator[None]:
        db.set_progress_handler(lambda: 1, 1000)
        yield

    monkeypatch.setattr(copies, "limited", over)
    with pytest.raises(StorageError, match="interrupted"):
        copies.copy(ledger, config.layout.ledger_copy)
    assert [path.name for path in config.root.iterdir() if "copy" in path.name] == []


def test_a_stop_copies_no_large_ledger_twice_a_day(
    ledger: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that is about to lose its power has no time for that. A small ledger is copied at each stop."""
    keeper = Copies(config.layout, 3600.0)
    with monkeypatch.context() as large:
        large.setattr("edge.gateway.background.copies._SMALL_BYTES", 1)
        keeper.stop()
        assert not config.layout.ledger_copy.exists()
        keeper._made_at -= 86_400
        keeper.stop()
        assert config.layout.ledger_copy.exists()
    config.layout.ledger_copy.unlink()
    keeper.stop()
    assert config.layout.ledger_copy.exists()


def test_a_stop_during_a_copy_makes_no_second_one(
    ledger: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two copies would write the same temporary file, and the first to end would publish a partial copy."""
    began, go_on, calls = threading.Event(), threading.Event(), list[Path]()

    def slow(_ledger: Path, target: Path, *, limit_s: float, stop: threading.Event) -> int:
        calls.append(target)
        began.set()
        assert go_on.wait(20), limit_s
        return 0

    monkeypatch.setattr(copies, "copy", slow)
    monkeypatch.setattr("edge.gateway.background.copies._STOP_S", 0.1)
    keeper = Copies(config.layout, 3600.0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(keeper.make)
        assert began.wait(10)
        keeper.stop()
        go_on.set()
    assert calls == [config.layout.ledger_copy]


def test_a_stop_ends_a_long_copy_early(ledger: Path, config: Config) -> None:
    """A stop waited for minutes before. The earlier copy stays, and no part of the new one."""
    keeper = Copies(config.layout, 3600.0)
    keeper.make()
    before = config.layout.ledger_copy.read_bytes()
    _grow(ledger, 1)
    keeper._leaving.set()  # as `stop` does for a copy in another thread
    keeper.make()
    assert config.layout.ledger_copy.read_bytes() == before
    assert keeper.fault == ""
    assert [path.name for path in config.root.glob(".*")] == []
    keeper.stop()
    assert copies.mark(config.layout.ledger_copy) == copies.mark(ledger)
