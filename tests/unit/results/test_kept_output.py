"""Each byte of kept output has its offset in the stream, and no other file counts as kept output."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.model import Artifact, Failure, FailureCode, JobState, Result
from edge.results.kept_output import FILE_BYTES, TAIL_FILES, cut_line, kept
from edge.results.output import Run
from edge.results.store import Results
from edge.results.stream import Stream

LONG = b"".join(b"%06d\n" % number for number in range(FILE_BYTES))  # 7 times the size of one file


def found(tmp_path: Path, printed: bytes, offset: int, *, own: bytes | None = None, failed: bool = False) -> Run | None:
    """Return the output that is found of `printed`. `own` is a file `stdout.txt` that the program wrote itself."""
    stream, file = Stream(tmp_path / "stream"), tmp_path / "stdout.txt"
    stream.feed(printed)
    stream.close()
    if own is not None:
        file.write_bytes(own)
    elif stream.is_long:
        stream.keep(file)
    files: tuple[Artifact, ...] = ()
    if file.exists():
        data = file.read_bytes()
        files = (Artifact(file.name, len(data), hashlib.sha256(data).hexdigest()),)
    value: Any = {"exit_code": 0, "stdout": stream.last, "stdout_bytes": stream.size_bytes}
    failure = Failure(FailureCode.EXIT, "exit code 1") if failed else None
    state = JobState.FAILED if failed else JobState.SUCCEEDED
    result = Result("a", "t", state, None if failed else value, failure, files=files)
    results = cast("Results", SimpleNamespace(artifact=lambda _, name: tmp_path / name))
    return kept(results, result, "stdout", offset)


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(
    "offset", [0, 5, FILE_BYTES - 1, FILE_BYTES, FILE_BYTES + 9, len(LONG) - 9, len(LONG), len(LONG) + 3]
)
def test_each_byte_has_its_offset_in_the_stream(tmp_path: Path, offset: int, failed: bool) -> None:
    run = found(tmp_path, LONG, offset, failed=failed)
    assert run is not None
    assert LONG[run.offset : run.offset + len(run.data)] == run.data
    assert run.offset == (offset if run.data and not FILE_BYTES <= offset < FILE_BYTES + 10 else run.offset)
    if run.next is None:
        assert run.offset + len(run.data) == len(LONG)
    else:
        behind = found(tmp_path, LONG, run.next, failed=failed)
        assert behind is not None
        assert behind.data == LONG[run.next :]
        assert len(behind.data) > FILE_BYTES * (TAIL_FILES - 1)


@pytest.mark.parametrize(
    "printed", [b"", b"a\n", b"caf\xe9 1\n", b"a\0b\n", b"1%\r" * 50, b"line\n" * 60, LONG[:300_000]]
)
@pytest.mark.parametrize("offset", [0, 1, 6])
def test_what_was_not_cut_is_there_byte_by_byte(tmp_path: Path, printed: bytes, offset: int) -> None:
    assert found(tmp_path, printed, offset) == Run(min(offset, len(printed)), printed[offset:])


def test_a_line_like_ours_that_the_program_prints_is_no_cut(tmp_path: Path) -> None:
    printed = LONG[:FILE_BYTES] + cut_line(1000) + b"more\n"
    assert found(tmp_path, printed, FILE_BYTES) == Run(FILE_BYTES, cut_line(1000) + b"more\n")


@pytest.mark.parametrize("own", [b"a file", b"1234567", b"x" * len(LONG), b""])
def test_a_file_of_the_program_is_not_its_output(tmp_path: Path, own: bytes) -> None:
    assert found(tmp_path, b"printed", 0, own=own) == Run(0, b"printed")


def test_behind_a_file_of_the_program_the_last_lines_have_their_offset(tmp_path: Path) -> None:
    run = found(tmp_path, LONG, 0, own=b"a file")
    assert run is not None
    assert run.data == LONG[-40 * 7 :]
    assert run.offset == len(LONG) - 40 * 7


def test_the_value_of_a_function_is_no_output() -> None:
    result = Result("a", "t", JobState.SUCCEEDED, {"stdout": "text"})
    assert kept(cast("Results", None), result, "stdout", 0) is None
