"""What is packed is consistent, whatever ends while it is packed, and nothing that a board needs is left out."""

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
    """Two jobs in the ledger."""
    path = tmp_path / "edge.yaml"
    path.write_text("root: state\nrun: run\n")
    loaded = load(path, env={})
    loaded.config.root.mkdir()
    with closing(LedgerWriter.open(loaded.config.layout.ledger)) as ledger, ledger.transaction(durable=True):
        for job_id in (EARLY, LATE):
            ledger.add(NewJob(job_id, "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=1.0)
    return loaded


def end(loaded: Loaded, job_id: str) -> None:
    """As worker and gateway do: the result first."""
    result = Result(job_id, "t", JobState.SUCCEEDED, value=1, finished_at=2.0)
    Results(loaded.config.layout).publish(result)
    with closing(LedgerWriter.open(loaded.config.layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.finish(result, size_bytes=1)


def packed(loaded: Loaded, folder: Path, *, meanwhile: Callable[[], None] = lambda: None) -> Layout:
    """The backup, unpacked; `meanwhile` happens after each file."""
    backup(loaded, folder / "b.tar", advance=lambda _files, _size: meanwhile())
    unpack(folder / "b.tar", folder / "new", allowed=lambda _: True, advance=lambda _files, _size: None)
    return Layout(folder / "new", folder / "run")


def test_a_job_that_ends_meanwhile_is_ended_nowhere_without_its_result(board: Loaded, tmp_path: Path) -> None:
    """It ends after one of the results was packed, at the latest: the ledger in the archive is older than that."""
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
    """Its tombstone is packed: the other board may meet a late copy of its message."""
    end(board, EARLY)
    Results(board.config.layout).remove(EARLY)
    new = packed(board, tmp_path)
    assert Results(new).removed(EARLY)


def test_a_job_that_is_removed_meanwhile_leaves_no_result_without_its_files(board: Loaded, tmp_path: Path) -> None:
    """Its files are packed before the result that names them."""
    results = Results(board.config.layout)
    staging = results.stage(EARLY)
    for name in ("a.txt", "b.txt"):
        staging.file(name).write_text("x")
    results.publish(Result(EARLY, "t", JobState.SUCCEEDED, value=1, finished_at=2.0), staging)
    files: list[None] = []

    def meanwhile() -> None:
        files.append(None)
        if len(files) == 2:  # the ledger was the first
            results.remove(EARLY)

    new = Results(packed(board, tmp_path, meanwhile=meanwhile))
    assert len(files) > 1
    result = new.read(EARLY)
    assert result is None or all(new.artifact(result, file.name).exists() for file in result.files)


def test_what_no_worker_wrote_stops_no_backup(board: Loaded, tmp_path: Path) -> None:
    """A pipe would be waited for without end, and a link lead elsewhere."""
    spawned = board.config.layout.spawned
    spawned.mkdir()
    os.mkfifo(spawned / "p.000001.00000000.json")
    (spawned / "p.000002.00000000.json").symlink_to(tmp_path / "edge.yaml")
    (spawned / "p.000003.00000000.json").write_text("{}")
    (tmp_path / "copy").mkdir()
    copy = packed(board, tmp_path / "copy")
    assert [path.name for path in copy.spawned.iterdir()] == ["p.000003.00000000.json"]


def test_files_that_open_jobs_are_given_are_packed_and_no_others(board: Loaded, tmp_path: Path) -> None:
    """A file that no job wants goes soon, and an upload that has not ended is sent again."""
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
