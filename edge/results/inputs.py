"""The input files of jobs: stored once, named by the SHA-256 of their content, never changed.

A name is there only after its content is durable. On a head the gateway writes these files, on a node the worker does.
All processes of the board may read them.
"""

from __future__ import annotations

import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """True when `text` can be the name of a stored file."""
    return _SHA256.fullmatch(text) is not None


class Inputs:
    """The folder of stored files. Callable from any thread."""

    def __init__(self, root: Path) -> None:
        """`root` is `Layout.files`."""
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where the file with this content is or will be. Raises ValueError when `sha256` is no hash."""
        if not is_sha256(sha256):
            raise ValueError(f"SHA-256 {sha256[:80]!r}: expected 64 of 0-9 a-f")
        return self.root / sha256

    def size(self, sha256: str) -> int | None:
        """Bytes of the stored file, or None if it is not there. Raises ValueError, OSError."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def stored(self) -> list[str]:
        """The hashes of all stored files. Raises OSError."""
        try:
            return sorted(path.name for path in self.root.iterdir() if is_sha256(path.name))
        except FileNotFoundError:
            return []
