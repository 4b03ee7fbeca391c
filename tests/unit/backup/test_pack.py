"""A backup is consistent even if jobs end while it is packed, and it contains everything that a board needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.backup.archive import unpack
from edge.backup.pack import backup
from edge.config import Loaded, load
from edge.core.layout import Layout
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import InputFile, JobState, Power, Result
from edge.results.store import Results

EARLY, LATE = "bb-early", "aa-late"  # the folder of the second one is packed first


@pytest.fixture
def board(tmp_path: Path) -> Loaded:
    """Return the configuration of a board with two jobs in its ledger."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: state\nrun: run\n")
    loaded = load(path, env={})
    loaded.config.root.mkdir()
    with closing(LedgerWriter.open(loaded.config.layout.ledger)) as ledger, ledger.transaction(durable=True):
        for job_id in (EARLY, LATE):
            ledger.add(NewJob(job_id, "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=1.0)
    return loaded


def end(loaded: Loaded, job_id: str) -> None:
    """End a job as worker and gateway do: publish the result, then close the ledger row."""
    result = Result(job_id, "t", JobState.SUCCEEDED, value=1, finished_at=2.0)
    Results(loaded.config.layout).publish(result)
    with closing(LedgerWriter.open(loaded.config.layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.finish(result, size_bytes=1)


def packed(loaded: Loaded, folder: Path, *, meanwhile: Callable[[], None] = lambda: None) -> Layout:
    """Make a backup and unpack it. Call `meanwhile` after each packed file."""
    backup(loaded, folder / "b.tar", advance=lambda _files, _size: meanwhile())
    unpack(folder / "b.tar", folder / "new", allowed=lambda _: True, advance=lambda _files, _size: None)
    return Layout(folder / "new", folder / "run")


def test_a_job_that_ends_during_the_backup_has_its_result_or_is_open(board: Loaded, tmp_path: Path) -> None:
    """The ledger is packed first, so each job that it calls ended has its result in the archive."""
    end(board, EARLY)
    ended: list[bool] = []

    def meanwhile() -> None:
        if not ended:
            ended.append(True)
            end(board, LATE)

    new = packed(board, tmp_path, meanwhile=meanwhile)
    with closing(LedgerReader.open(new.ledger)) as ledger:
        for job_id in (EARLY, LATE):
            assert not ledger.get(job_id).state.final or Results(new).has(job_id), job_id


def test_a_removed_result_stays_removed_on_the_other_board(board: Loaded, tmp_path: Path) -> None:
    """Its tombstone is packed, because the other board may receive a late copy of its message."""
    end(board, EARLY)
    Results(board.config.layout).remove(EARLY)
    new = packed(board, tmp_path)
    assert Results(new).removed(EARLY)


def test_a_job_removed_during_the_backup_leaves_no_result_without_its_files(board: Loaded, tmp_path: Path) -> None:
    """Its files are packed before the result that names them."""
    results = Results(board.config.layout)
    staging = results.stage(EARLY)
    for name in ("a.txt", "b.txt"):
        staging.file(name).write_text("x")
    results.publish(Result(EARLY, "t", JobState.SUCCEEDED, value=1, finished_at=2.0), staging)
    files: list[None] = []

    def meanwhile() -> None:
        files.append(None)
        if len(files) == 2:  # the first one was the ledger
            results.remove(EARLY)

    new = Results(packed(board, tmp_path, meanwhile=meanwhile))
    assert len(files) > 1
    result = new.read(EARLY)
    assert result is None or all(new.artifact(result, file.name).exists() for file in result.files)


def test_a_backup_skips_pipes_and_links(board: Loaded, tmp_path: Path) -> None:
    """No worker makes them. A read from a pipe would wait forever, and a link may lead to another folder."""
    spawned = board.config.layout.spawned
    spawned.mkdir()
    os.mkfifo(spawned / "p.000001.00000000.json")
    (spawned / "p.000002.00000000.json").symlink_to(tmp_path / "edge.yaml")
    (spawned / "p.000003.00000000.json").write_text("{}")
    (tmp_path / "copy").mkdir()
    copy = packed(board, tmp_path / "copy")
    assert [path.name for path in copy.spawned.iterdir()] == ["p.000003.00000000.json"]


def test_only_input_files_that_open_jobs_need_are_packed(board: Loaded, tmp_path: Path) -> None:
    """A file that no job needs will be removed soon, and the client sends an unfinished upload again."""
    layout = board.config.layout
    layout.files.mkdir()
    for digit in "ab":
        (layout.files / (digit * 64)).write_bytes(digit.encode())
    (layout.files / "half.part").write_bytes(b"half")
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        files = {"clip": InputFile("a" * 64, "a.mov", 1)}
        ledger.add(NewJob("cc", "t", [], {}, Power.NORMAL, 0, None, "me", b"", files=files), now=1.0)
    new = packed(board, tmp_path)
    assert [path.name for path in new.files.iterdir()] == ["a" * 64]
