"""The changes that a worker makes to its own process for its bodies."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from edge.worker.process.process_snapshot import allow_files


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_of_files_is_raised_as_far_as_it_goes(limits: tuple[int, int]) -> None:
    """It is never lowered."""
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    allow_files(300)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
    allow_files(250)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, hard)
    allow_files(hard + 1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
