"""Groups the log lines of short jobs: one write for all lines of a batch instead of one write for each job.

A write to the journal or to a pipe wakes the process that reads it. With one write for each job, these wake-ups took
a tenth of the time of short jobs.
"""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO


class LogLines(io.TextIOBase):
    """A stream for log handlers, which holds lines back while `holds` returns True.

    Its methods may be called from any thread.
    """

    def __init__(self, stream: TextIO, *, holds: Callable[[], bool]) -> None:
        """Make the stream. The lines are written to `stream`."""
        self._stream, self._holds = stream, holds
        self._lines: deque[str] = deque()

    @property
    def encoding(self) -> str:  # type: ignore[override] # a property of the base class that mypy takes for a variable
        """The encoding of the stream to which the lines are written."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return True if the lines are written to a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Keep `text` until `release`, or until the next `flush` at which `holds` returns False."""
        self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Write the kept lines, unless `holds` returns True. Raises OSError."""
        if not self._holds():
            self.release()

    def release(self) -> None:
        """Write the kept lines. Raises OSError."""
        text = ""
        while self._lines:  # one by one: another thread may add a line meanwhile
            text += self._lines.popleft()
        if text:
            self._stream.write(text)
            self._stream.flush()

    def forget(self) -> None:
        """Drop the kept lines. A forked child calls this, because the lines are its parent's."""
        self._lines.clear()


def group_lines(handlers: Iterable[logging.Handler], *, holds: Callable[[], bool]) -> list[LogLines]:
    """Make the handlers that write to a stream write to `LogLines` instead. Return these `LogLines`."""
    found = list[LogLines]()
    for handler in handlers:
        if type(handler) is logging.StreamHandler:  # not a FileHandler: readers of a log file expect each line at once
            found.append(LogLines(handler.stream, holds=holds))
            handler.setStream(found[-1])
    return found
