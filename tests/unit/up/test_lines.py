"""The stack's log: whole lines, and no log that can stop the stack."""

from __future__ import annotations

import io
from typing import Any

import pytest

from edge.up.lines import LineSplitter, StackLog


class Refusing(io.StringIO):
    """A log that takes nothing."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault

    def flush(self) -> None:
        """Refuse."""
        raise self.fault


@pytest.mark.parametrize(
    "fault", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"), ValueError("closed file")]
)
def test_a_log_that_takes_nothing_does_not_stop_the_stack(fault: Exception) -> None:
    """A reader that left, a full card, a closed file: the jobs matter more than the words about them."""
    StackLog(Refusing(fault)).say("hello")


def test_what_a_pipe_delivers_comes_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it was cut; a line without an end is handed on at the end, and an endless one in pieces."""
    monkeypatch.setattr("edge.up.lines._LONGEST", 10)
    said: list[Any] = []
    splitter = LineSplitter(said.append, lambda: said.append(None))
    for data in (b"on", b"e\ntwo\nthr", b"ee \xff\n", b"0123456789ab", b"last"):
        splitter.data_received(data)
    splitter.connection_lost(None)
    assert said == ["one", "two", "three \ufffd", "0123456789ab", "last", None]
