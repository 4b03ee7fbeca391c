"""Fixtures of the tests of commands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.worker.command.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench in a folder of its own."""
    return Bench(tmp_path)


@pytest.fixture
def disk_bench() -> Iterator[Bench]:
    """The same on a disk: the kernel counts no bytes that are written to a tmpfs, where tests usually have theirs."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Bench(Path(folder))
