"""Keeps the text that a program prints, up to a size: head and tail stay, and a line says how much was cut between.

A stream is a row of files in `run/output/WORKER/ID/STREAM/`. The name of a file is the offset of its first byte. The
first file is the head. Of the others only the last few are kept. Readers read the files. The worker keeps only a few
KiB in memory.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from edge.results.kept_output import FILE_BYTES, TAIL_FILES, cut_line

#: Largest numbers of bytes and lines of the end of a stream that go into the result.
LAST_BYTES, LAST_LINES = 4096, 40


class Stream:
    """Standard output or standard error of one run. Belongs to the thread of the body."""

    def __init__(self, folder: Path) -> None:
        """Make the stream. `folder` is made at the first byte."""
        self._folder = folder
        self.size_bytes = 0
        self._fd = -1
        self._left = 0  # bytes that still fit into the file that is open
        self._tail: deque[Path] = deque()
        self._head: Path | None = None
        self._last = bytearray()

    def feed(self, data: bytes) -> None:
        """Add the data that follows. If the disk is full, the data is lost and readers see a cut. Never raises."""
        self._last += data[-LAST_BYTES:]
        del self._last[:-LAST_BYTES]
        view = memoryview(data)
        while view:
            part = view[: self._left or FILE_BYTES]
            with suppress(OSError):
                if not self._left:
                    self._next()
                os.write(self._fd, part)
            self._left = (self._left or FILE_BYTES) - len(part)
            self.size_bytes += len(part)
            view = view[len(part) :]

    def skip_to(self, offset: int) -> None:
        """Continue at this offset of the stream, if it is not reached yet. Readers see a cut before it."""
        if offset > self.size_bytes:
            self.size_bytes, self._left = offset, 0
            self._last.clear()

    @property
    def last(self) -> str:
        """The last lines of the stream, at most `LAST_BYTES` and `LAST_LINES`."""
        text = bytes(self._last).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        lines = text.splitlines(keepends=True)
        if self.size_bytes > LAST_BYTES and len(lines) > 1:
            lines = lines[1:]  # the first one is the end of a line that was cut
        return "".join(lines[-LAST_LINES:])

    @property
    def is_long(self) -> bool:
        """True if `last` is not exactly the whole stream, because the stream is longer or is not UTF-8."""
        return self.size_bytes > LAST_BYTES or self.last.encode() != self._last

    def keep(self, path: Path) -> None:
        """Write the kept parts to `path`, with a line at each cut that says how much is missing. Raises OSError."""
        end = 0
        with path.open("wb") as out:
            for part in (*((self._head,) if self._head is not None else ()), *self._tail):
                data = part.read_bytes()
                begin = int(part.name)
                if begin > end:
                    out.write(cut_line(begin - end))
                out.write(data)
                end = begin + len(data)
            if end < self.size_bytes:
                out.write(cut_line(self.size_bytes - end))

    def close(self) -> None:
        """Close the file. The written files stay for readers."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _next(self) -> None:
        self.close()
        if self._head is None:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        path = self._folder / f"{self.size_bytes:015}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        if self._head is None:
            self._head = path
            return
        self._tail.append(path)
        if len(self._tail) > TAIL_FILES:
            self._tail.popleft().unlink(missing_ok=True)
