"""The base of all rigs: a rig is the real input of one kind of source (files, a pty, a program) that can be broken."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from edge.power.inputs.source import Source

Values = dict[str, tuple[float, str]]


class Rig:
    """One kind of source on its real input. Each function of `faults` breaks the input, and `good` repairs it."""

    main = "charge"  # the reading that a fault makes unknown
    frozen_after_s = 0.0
    source: Source

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, Callable[[], None]] = {}

    def open(self) -> Source:
        """Return the source on this rig's input."""
        raise NotImplementedError

    def good(self) -> Values:
        """Put good input in place. Returns the expected values and units by quantity."""
        raise NotImplementedError

    def close(self) -> None:
        """Release everything except files."""


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def program(path: Path, body: str) -> None:
    write(path, f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
