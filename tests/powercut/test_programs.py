"""The programs of the load make the files that the oracle expects, also from a checkpoint; wrong files are found."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from edge.model import Artifact
from tests.powercut import programs
from tests.powercut.jobs import file_content


def made(folder: Path, number: int, *more: str) -> bytes:
    """Run the program in `folder` and return its file."""
    words = [*programs.commands()[0]["run"][:4], str(number), str(folder / programs.OUTPUT), *more]
    (folder / "saved").mkdir(exist_ok=True)
    subprocess.run(words, check=True, env={"EDGE_CHECKPOINT": str(folder / "saved"), "PATH": "/usr/bin:/bin"})
    return (folder / programs.OUTPUT).read_bytes()


def test_both_halves_are_made(tmp_path: Path) -> None:
    assert made(tmp_path, 7) == programs.output_of("halves", [7])


def test_an_attempt_goes_on_from_the_first_half(tmp_path: Path) -> None:
    whole = made(tmp_path, 7)
    (tmp_path / "saved" / "first").write_bytes(b"kept ")
    assert made(tmp_path, 7) == b"kept " + whole[len(whole) - len(b"7/second\n" * 4000) :]


def test_a_file_becomes_the_second_half(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(file_content(3, 5000))
    assert made(tmp_path, 3, str(clip), "5000") == programs.output_of("joined", [3, 5000])


@pytest.mark.parametrize("names", [[], ["other.bin"], [programs.OUTPUT, "other.bin"]])
def test_a_missing_or_a_further_file_is_a_fault(names: list[str]) -> None:
    content = programs.output_of("halves", [7])
    files = tuple(Artifact(name, len(content), sha256(content).hexdigest()) for name in names)
    assert "was to be made" in programs.wrong_files("halves", [7], files)


def test_a_file_with_another_hash_is_a_fault() -> None:
    content = programs.output_of("halves", [7])
    right, wrong = sha256(content).hexdigest(), sha256(b"").hexdigest()
    assert not programs.wrong_files("halves", [7], (Artifact(programs.OUTPUT, len(content), right),))
    assert programs.wrong_files("halves", [7], (Artifact(programs.OUTPUT, len(content), wrong),))
