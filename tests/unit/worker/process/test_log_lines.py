"""The log lines of short jobs are written together and in order, and none is lost."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from edge.worker.process.log_lines import LogLines, group_lines


class Journal(io.StringIO):
    """Counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_lines_go_out_together_at_the_release(journal: Journal) -> None:
    holding = [False]
    lines = LogLines(journal, holds=lambda: holding[0])
    handler = logging.StreamHandler(lines)

    def log(text: str) -> None:
        handler.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))

    log("first")
    assert (journal.getvalue(), journal.writes) == ("first\n", 1)
    holding[0] = True
    for number in range(30):
        log(f"job {number}")
    log("failed")
    assert journal.writes == 1
    lines.release()
    assert journal.writes == 2
    assert journal.getvalue().split("\n") == ["first", *(f"job {number}" for number in range(30)), "failed", ""]
    lines.release()
    assert journal.writes == 2


def test_a_child_writes_no_line_of_its_parent(journal: Journal) -> None:
    lines = LogLines(journal, holds=lambda: True)
    lines.write("of the parent\n")
    lines.forget()
    lines.release()
    assert journal.getvalue() == ""


def test_only_plain_streams_are_grouped(journal: Journal, tmp_path: Path) -> None:
    """A reader that follows a log file expects each line at once."""
    file, plain = logging.FileHandler(tmp_path / "worker.log"), logging.StreamHandler(journal)
    assert [type(each) for each in group_lines([file, plain], holds=lambda: True)] == [LogLines]
    assert isinstance(plain.stream, LogLines)
    assert not isinstance(file.stream, LogLines)
    file.close()
