"""Unwanted files are removed by the wall clock if it can be trusted, otherwise by the time since they were seen."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from edge.config import Config, GatewayConfig
from edge.config.files import FilesConfig
from edge.core import clock
from edge.gateway.files import Files
from edge.gateway.old_files import OldFiles
from edge.model import InputFile

A, B = "a" * 64, "b" * 64
KEEP_S = 100.0


class Board:
    """A folder of files, and a clock that the test sets."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        limits = FilesConfig(keep_s=KEEP_S, unfinished_s=2 * KEEP_S, spare_bytes=0)
        config = Config(root=root, run=root / "run", gateway=GatewayConfig(files=limits))
        self.files = Files(config)
        self.files.start()
        self.wanted: set[str] = set()
        self.now = 1000.0
        self.wall: float | None = None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(clock, "vouched_now", lambda: self.wall)
        self.old = OldFiles(self.files, limits, self._wanted, on_its_way_s=10.0)
        self.folder = config.layout.files

    async def _wanted(self) -> set[str]:
        return self.wanted

    def put(self, sha256: str, at: float = 0.0) -> None:
        """Store a file that was uploaded at this time."""
        (self.folder / sha256).write_bytes(b"x")
        os.utime(self.folder / sha256, (at, at))

    def look(self) -> float | None:
        """Run one look for old files, and return in how many seconds the next one is due."""
        return asyncio.run(self.old.look())

    def names(self) -> set[str]:
        """Return the names of the stored files."""
        return {path.name for path in self.folder.iterdir() if len(path.name) == 64}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path, monkeypatch)


def test_without_a_clock_a_file_goes_when_it_was_seen_unwanted_for_long_enough(board: Board) -> None:
    """The time of the upload is not known, so the file is removed late, but never early."""
    board.put(A, at=5.0)
    assert board.look() == KEEP_S
    board.now += KEEP_S - 1
    assert board.look() == 1.0
    assert board.names() == {A}
    board.now += 1
    assert board.look() is None
    assert board.names() == set()


def test_with_a_clock_the_time_of_the_upload_counts(board: Board) -> None:
    """The time of the upload also counts after a restart of the gateway."""
    board.wall = clock.EARLIEST + 1_000_000
    board.put(A, at=board.wall - KEEP_S - 1)
    board.put(B, at=board.wall - KEEP_S + 7)
    assert board.look() == pytest.approx(7, abs=0.1)
    assert board.names() == {B}


def test_a_wanted_file_stays_and_costs_no_further_look(board: Board) -> None:
    """No timer is needed for it, because the end of its job starts a look."""
    board.put(A)
    board.wanted = {A}
    board.look()
    board.now += 10 * KEEP_S
    assert board.look() is None
    assert board.names() == {A}
    board.wanted = set()
    assert board.look() == KEEP_S  # counted from now on, because the clock is not trusted


def test_a_file_that_a_submission_has_just_named_stays(board: Board) -> None:
    """The file is needed although its job is not in the ledger yet."""
    board.wall = clock.EARLIEST + 1_000_000
    board.put(A, at=board.wall - 10 * KEEP_S)
    board.files.filled({"clip": InputFile(A)})
    assert board.look() == 10.0
    assert board.names() == {A}
    board.now += 10.0
    board.look()
    assert board.names() == set()


def test_an_upload_that_goes_on_now_and_then_stays(board: Board) -> None:
    """Each save of an unfinished upload starts its time again."""
    incoming = board.files.incoming
    for at in (1.0, 2.0):
        upload = incoming.begin("up", size=None, sha256="", resume=True)
        upload.append(b"more")
        upload.save()
        upload.close()
        os.utime(board.folder / ".incoming" / "up.json", (at, at))
        board.look()
        board.now += 1.5 * KEEP_S
        board.look()
        assert incoming.find("up") is not None
    board.now += KEEP_S
    board.look()
    assert incoming.find("up") is None
    assert list((board.folder / ".incoming").iterdir()) == []
