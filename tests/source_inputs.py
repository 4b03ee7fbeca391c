"""Makes inputs of power sources as files and programs, and reads a source once."""

from __future__ import annotations

from pathlib import Path

from edge.model import Reading
from edge.power.inputs.source import Source


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write `files` under `root`, each with a final newline as the kernel's files have, and return `root`."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def program(path: Path, body: str) -> str:
    """Write an executable shell script to `path`, and return the path as text."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def read(source: Source, now: float = 0.0) -> dict[str, Reading]:
    """Return the readings of `source` by quantity, or by `source:BATTERY/quantity` if it has several batteries."""
    return {r.what if r.source == source.name else f"{r.source}/{r.what}": r for r in source.read(now)}  # type: ignore[attr-defined]


def frame(*fields: tuple[str, str]) -> bytes:
    """Return a VE.Direct text frame with its checksum."""
    body = b"".join(f"\r\n{key}\t{value}".encode() for key, value in fields) + b"\r\nChecksum\t"
    return body + bytes([-sum(body) % 256])
