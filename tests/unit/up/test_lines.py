"""The log of the stack has whole lines, and its errors do not stop the stack."""

from __future__ import annotations

import io
from typing import Any

import pytest

from edge.up.lines import LineSplitter, StackLog


class Refusing(io.StringIO):
    """A log whose writes fail."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault

    def flush(self) -> None:
        """Raise the error."""
        raise self.fault


@pytest.mark.parametrize(
    "fault", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"), ValueError("closed file")]
)
def test_a_log_that_fails_does_not_stop_the_stack(fault: Exception) -> None:
    """If the reader is gone, the card is full or the file is closed, the stack runs on."""
    StackLog(Refusing(fault)).say("hello")


def test_data_of_a_pipe_comes_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data may be split anywhere. A last line without an end is passed on at the end, a very long line in pieces."""
    monkeypatch.setattr("edge.up.lines._LONGEST", 10)
    lines: list[Any] = []
    splitter = LineSplitter(lines.append, lambda: lines.append(None))
    for data in (b"on", b"e\ntwo\nthr", b"ee \xff\n", b"0123456789ab", b"last"):
        splitter.data_received(data)
    splitter.connection_lost(None)
    assert lines == ["one", "two", "three \ufffd", "0123456789ab", "last", None]
