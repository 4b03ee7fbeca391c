"""Reads the progress of a program from its output: `EDGE_PROGRESS 3/10 a note`, or the pattern of the command."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from edge.config import CommandConfig
from edge.model import Progress

#: A longer line does not report progress. This limits the text that a pattern has to search.
LONGEST = 4096
#: Only this number of last lines is examined in each read, because only the newest progress is shown.
_MOST_LINES = 200
_MARK = b"EDGE_PROGRESS"
_ENDS = re.compile(rb"[\r\n]")
_OWN = re.compile(r"EDGE_PROGRESS\s+([0-9.]{1,20})(?:\s*/\s*([0-9.]{1,20}))?(?:\s+(.*))?$")


class ProgressReader:
    """Reads both streams of one run, and keeps the unfinished line of each. Belongs to the thread of the body."""

    def __init__(self, command: CommandConfig) -> None:
        self._pattern = _compiled(command.progress)
        total = command.progress_total
        self._total_pattern = _compiled(total if isinstance(total, str) else None)
        self._total = float(total) if isinstance(total, int | float) else 0.0
        self._rest: dict[str, bytes] = {}

    def feed(self, stream: str, data: bytes) -> Progress | None:
        """Return the latest progress in the printed data, or None if there is none."""
        data = self._rest.get(stream, b"") + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest[stream] = data[max(end, len(data) - LONGEST - 1) :]
        if self._pattern is None and _MARK not in data:  # saves the search through each line of 10 GB of output
            return None
        found = None
        for line in _ENDS.split(data[:end])[-_MOST_LINES:]:
            if line and len(line) <= LONGEST:
                found = self._read(line.decode(errors="replace")) or found
        return found

    def _read(self, line: str) -> Progress | None:
        own = _OWN.match(line.strip()) if "EDGE_PROGRESS" in line else None
        if own is not None:
            done, total = _number(own[1]), _number(own[2] or "0")
            return None if done is None or total is None else Progress(done, total, (own[3] or "")[:200])
        if self._total_pattern is not None and (found := self._total_pattern.search(line)) is not None:
            self._total = _number(found[1]) or self._total
        if self._pattern is None or (found := self._pattern.search(line)) is None:
            return None
        done = _number(found[1])
        return None if done is None else Progress(done, self._total)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    return None if pattern is None else re.compile(pattern)


def _number(text: str | None) -> float | None:
    """Return the number in `text`, or None if it is not a number. A time such as 1:02:03.5 is returned in seconds."""
    value = 0.0
    with suppress(ValueError):
        for part in (text or "").split(":"):
            value = value * 60 + float(part)
        return value if math.isfinite(value) and value >= 0 else None
    return None
