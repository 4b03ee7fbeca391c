"""The names of files that a program leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.worker.command.failure import ProgramFailed
from edge.worker.command.outputs import take, take_all


def test_an_output_whose_name_is_no_text_is_told_in_words(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/out\xff")).touch()
    with pytest.raises(ProgramFailed) as caught:
        take(tmp_path, ["out*"], lambda name: tmp_path / name)
    assert "1 to 200" in caught.value.failure.message
    assert "codec" not in caught.value.failure.message


def test_of_any_program_plain_files_are_taken_without_its_inputs(tmp_path: Path) -> None:
    work, kept = tmp_path / "work", tmp_path / "kept"
    for folder in (work, kept, work / "folder"):
        folder.mkdir()
    for name in ("clip.mov", "clip.mp4"):
        (work / name).touch()
    (work / "link").symlink_to("clip.mov")
    take_all(work, kept.joinpath, without=["clip.mov"])
    assert [path.name for path in kept.iterdir()] == ["clip.mp4"]
