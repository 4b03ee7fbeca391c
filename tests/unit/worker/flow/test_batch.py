"""The moment at which ended attempts become durable."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.worker.attempt.attempt import Attempt
from edge.worker.flow.batch import MOST, MOST_BYTES, WAIT_S, Batch


def _ended(size_bytes: int = 100) -> Attempt:
    return cast("Attempt", SimpleNamespace(id="a", size_bytes=size_bytes))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_empty_batch_is_never_due(clock: list[float]) -> None:
    """There is nothing to write."""
    assert not Batch().due(next_s=10.0)


@pytest.mark.parametrize(("count", "size", "most"), [(MOST, 1, MOST), (2, MOST_BYTES // 2, MOST), (1, 1, 1)])
def test_it_is_due_at_a_number_or_a_size(clock: list[float], count: int, size: int, most: int) -> None:
    """It is not due one attempt or one byte before."""
    batch = Batch(most=most)
    for _ in range(count):
        assert not batch.due()
        batch.add(_ended(size))
    assert batch.due()
    assert len(batch.take()) == count
    assert not batch.due()
    batch.add(_ended())
    assert batch.due() == (most == 1)


def test_the_first_waits_no_longer_than_a_moment(clock: list[float]) -> None:
    """It does not wait for a body that would take longer either."""
    batch = Batch()
    batch.add(_ended())
    clock[0] += WAIT_S / 2
    batch.add(_ended())
    assert not batch.due()
    assert not batch.due(next_s=WAIT_S / 4)
    assert batch.due(next_s=WAIT_S)
    clock[0] += WAIT_S
    assert batch.due()


def test_members_are_known_by_their_job() -> None:
    """A copy of a message waits until its job is durable."""
    batch = Batch()
    members: list[Any] = [_ended()]
    batch.add(members[0])
    assert "a" in batch
    assert "b" not in batch
    assert batch.take() == members
