"""Writes the common log of the stack: the output of every part, with the part's name at the start of each line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TextIO

_COLOURS = {"edge": 1, "broker": 33, "gateway": 36, "governor": 32, "worker": 35}
_WIDTH = max(map(len, _COLOURS))
_LONGEST = 64 * 1024  # a longer line is written in pieces


class StackLog:
    """Writes lines as `HH:MM:SS name | text`, in colour on a terminal. Belongs to the event loop."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colour = out.isatty()

    def say(self, text: str, *, name: str = "edge") -> None:
        """Write one line of one part. A reader that has gone, or a log on a full disk, does not stop the stack."""
        prefix = f"{time.strftime('%H:%M:%S')} {name:<{_WIDTH}} |"
        if self._colour:
            prefix = f"\033[{_COLOURS.get(name, 1)}m{prefix}\033[0m"
        self.plain(f"{prefix} {text}")

    def plain(self, text: str) -> None:
        """Write a line without time and name."""
        try:
            self._out.write(f"{text}\n")
            self._out.flush()
        except (OSError, ValueError):
            return


class LineSplitter(asyncio.Protocol):
    """Splits the data of a pipe into lines, and passes on each line as it comes. Belongs to the event loop."""

    def __init__(self, on_line: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._on_line, self._on_end = on_line, on_end
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Pass on every whole line, and keep the rest."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._on_line(line.decode(errors="replace").rstrip())

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the rest, which has no line end, when the part has ended."""
        del exc
        if self._rest:
            self._on_line(self._rest.decode(errors="replace").rstrip())
            self._rest = b""
        self._on_end()
