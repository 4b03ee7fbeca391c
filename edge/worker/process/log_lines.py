"""The log lines of short jobs, written together: one write for the lines of a batch in place of one for each job.

A write to the journal or to a pipe wakes who reads it. With a line for each job this took a tenth of the time of short
jobs.
"""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO


class LogLines(io.TextIOBase):
    """A stream for log handlers, which holds lines back while `holds` is true. From any thread."""

    def __init__(self, stream: TextIO, *, holds: Callable[[], bool]) -> None:
        """`stream` is where the lines go."""
        self._stream, self._holds = stream, holds
        self._lines: deque[str] = deque()

    @property
    def encoding(self) -> str:  # type: ignore[override] # a property of the base class that mypy takes for a variable
        """That of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """True when a person reads the lines at a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Keep `text` until the next `flush` that does not hold, or `release`."""
        self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what is kept, unless it is to be held back. Raises OSError."""
        if not self._holds():
            self.release()

    def release(self) -> None:
        """Write what is kept. Raises OSError."""
        text = ""
        while self._lines:  # one by one: another thread may add a line meanwhile
            text += self._lines.popleft()
        if text:
            self._stream.write(text)
            self._stream.flush()

    def forget(self) -> None:
        """Drop what is kept: in a child that a body forks, these are lines of the parent."""
        self._lines.clear()


def group_lines(handlers: Iterable[logging.Handler], *, holds: Callable[[], bool]) -> list[LogLines]:
    """Let the handlers that write to a stream write to `LogLines`; return these."""
    found = list[LogLines]()
    for handler in handlers:
        if type(handler) is logging.StreamHandler:  # not a file, of which others expect each line at once
            found.append(LogLines(handler.stream, holds=holds))
            handler.setStream(found[-1])
    return found
