"""Finds the input files of jobs. Each content is stored once, named by its SHA-256, and never changes.

A file has its name only after its content is durable. On a head the gateway writes these files, on a node the worker.
All processes of the board may read them.
"""

from __future__ import annotations

import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Return True if `text` can be the name of a stored file."""
    return _SHA256.fullmatch(text) is not None


class Inputs:
    """The folder of stored files. Any thread may call its methods."""

    def __init__(self, root: Path) -> None:
        """Take the folder, which is `Layout.files`."""
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return the path of the file with this content, which may not exist yet. Raises ValueError for a bad hash."""
        if not is_sha256(sha256):
            raise ValueError(f"SHA-256 {sha256[:80]!r}: expected 64 of 0-9 a-f")
        return self.root / sha256

    def size(self, sha256: str) -> int | None:
        """Return the length of the stored file in bytes, or None if it does not exist. Raises ValueError, OSError."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def stored(self) -> list[str]:
        """Return the hashes of all stored files, sorted. Raises OSError."""
        try:
            return sorted(path.name for path in self.root.iterdir() if is_sha256(path.name))
        except FileNotFoundError:
            return []
