"""Reads when bodies began; each body appends the time to a file."""

from __future__ import annotations

import struct
from pathlib import Path

#: One start: nanoseconds of the monotonic clock, which all processes of a machine share.
START = struct.Struct("=q")


class Starts:
    """The file to which bodies append the times at which they begin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def count(self) -> int:
        """The number of bodies that have begun."""
        return self.path.stat().st_size // START.size

    def since(self, first: int) -> list[float]:
        """Return when bodies began, in seconds of the monotonic clock, from number `first` on (counted from 0)."""
        with self.path.open("rb") as file:
            file.seek(first * START.size)
            data = file.read()
        return [at_ns / 1e9 for (at_ns,) in START.iter_unpack(data[: len(data) // START.size * START.size])]
