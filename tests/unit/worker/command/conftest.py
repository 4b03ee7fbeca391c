"""Fixtures for the tests of commands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.worker.command.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench in its own folder."""
    return Bench(tmp_path)


@pytest.fixture
def disk_bench() -> Iterator[Bench]:
    """Return a bench on a disk. Tests usually use a tmpfs, on which the kernel counts no written bytes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Bench(Path(folder))
