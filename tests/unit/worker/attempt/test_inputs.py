"""A body begins only when its input files are here; a file that can never be had ends the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from edge.client.connection import LinkError
from edge.core.errors import UnknownFile, Unreachable
from edge.model import Failure, FailureCode, InputFile
from edge.results.inputs import Inputs
from edge.worker.attempt.head import Head
from edge.worker.attempt.inputs import HeadInputs, LocalInputs

CONTENT = b"moving pictures" * 1000
CLIP = InputFile(sha256(CONTENT).hexdigest(), "a.mov", len(CONTENT))


class PlayedHead:
    """Plays a head that sends a file, after faults in its first answers."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults, self.starts = list(faults), list[int]()
        self.go_on = threading.Event()
        self.go_on.set()

    def content(self, _sha256: str, start: int) -> Iterator[bytes]:
        """Yield the content, as `Head.content` does."""
        self.starts.append(start)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, UnknownFile):
            raise fault
        self.go_on.wait(10)
        yield CONTENT[start : start + 5000]
        if fault is not None:
            raise fault
        yield CONTENT[start + 5000 :]


def head_inputs(tmp_path: Path, head: PlayedHead) -> HeadInputs:
    return HeadInputs(Inputs(tmp_path / "files"), cast("Head", head))


def looked(inputs: HeadInputs, within_s: float = 10.0) -> Any:
    """Return the answer of `look` once it no longer waits, or the error that it raised."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = inputs.look({"clip": CLIP})
        except OSError as err:
            return err
        if not isinstance(found, str):
            return found
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_files_of_a_board_of_its_own_are_there_or_the_job_ends(tmp_path: Path) -> None:
    """The job ends if a file is missing or has another size."""
    inputs = LocalInputs(Inputs(tmp_path))
    failure = inputs.look({"clip": CLIP})
    assert isinstance(failure, Failure)
    assert (failure.code, "is not on this board" in failure.message) == (FailureCode.NO_INPUT, True)
    (tmp_path / CLIP.sha256).write_bytes(CONTENT[:7])
    failure = inputs.look({"clip": CLIP})
    assert isinstance(failure, Failure)
    assert "is damaged" in failure.message
    (tmp_path / CLIP.sha256).write_bytes(CONTENT)
    assert inputs.look({"clip": CLIP}) is None


def test_a_node_fetches_and_checks(tmp_path: Path) -> None:
    """The reason shows the progress, and the file gets its name only at the end."""
    head = PlayedHead()
    head.go_on.clear()
    inputs = head_inputs(tmp_path, head)
    assert inputs.look({"clip": CLIP}) == "fetches file a.mov from the head: 0 bytes of 15.0 kB"
    assert not (tmp_path / "files" / CLIP.sha256).exists()
    head.go_on.set()
    assert looked(inputs) is None
    assert (tmp_path / "files" / CLIP.sha256).read_bytes() == CONTENT


def test_a_connection_that_breaks_is_an_error_once_and_then_goes_on(tmp_path: Path) -> None:
    """The job waits, and no byte is fetched twice."""
    head = PlayedHead(LinkError("the connection was lost"))
    inputs = head_inputs(tmp_path, head)
    assert isinstance(looked(inputs), Unreachable)
    assert looked(inputs) is None
    assert head.starts == [0, 5000]


def test_a_file_that_the_head_does_not_have_ends_the_job(tmp_path: Path) -> None:
    """To wait would not help."""
    missing = UnknownFile.reported("no such file", job_id="", name="", known=[])
    failure = looked(head_inputs(tmp_path, PlayedHead(missing)))
    assert isinstance(failure, Failure)
    assert failure.code is FailureCode.NO_INPUT


def test_two_workers_of_a_node_fetch_a_file_once(tmp_path: Path) -> None:
    """The second worker waits for the first."""
    head = PlayedHead()
    head.go_on.clear()
    first, second = head_inputs(tmp_path, head), head_inputs(tmp_path, head)
    first.look({"clip": CLIP})
    second.look({"clip": CLIP})
    head.go_on.set()
    assert looked(first) is None
    assert looked(second) is None
    assert head.starts == [0]


@pytest.mark.parametrize("damaged", [CONTENT[:-1] + b"!"])
def test_a_content_with_another_hash_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    """The content is removed."""
    head = PlayedHead()
    monkeypatch.setattr(head, "content", lambda _sha256, start: iter([damaged[start:]]))
    failure = looked(head_inputs(tmp_path, head))
    assert isinstance(failure, Failure)
    assert not (tmp_path / "files" / CLIP.sha256).exists()
