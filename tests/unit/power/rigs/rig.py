"""What every rig is: the real input of one kind of source (files, a pty, a program, a pin), and ways to break it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from edge.power.inputs.source import Source

Values = dict[str, tuple[float, str]]


class Rig:
    """One kind of source on its own real input. `faults` break it; `good` mends it again."""

    main = "charge"  # the reading that a fault makes unknown
    frozen_after_s = 0.0
    source: Source

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, Callable[[], None]] = {}

    def open(self) -> Source:
        """The source on this rig's input."""
        raise NotImplementedError

    def good(self) -> Values:
        """Put good input in place; returns what must be read from it."""
        raise NotImplementedError

    def close(self) -> None:
        """Take down what is not a file."""


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def program(path: Path, body: str) -> None:
    write(path, f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
