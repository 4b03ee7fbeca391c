"""Acknowledgements wait for others, but not too many of them and not for long."""

from __future__ import annotations

from typing import Any, cast

import pytest

from edge.worker.flow.late_acks import MOST, WAIT_S, LateAcks


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def late(clock: Clock) -> LateAcks:
    return LateAcks(now_s=clock)


def deliveries(count: int) -> list[Any]:
    return [cast("Any", object()) for _ in range(count)]


def test_none_is_never_due(late: LateAcks, clock: Clock) -> None:
    """It does not matter how long ago the last one was."""
    clock.now_s += 100
    assert not late
    assert not late.due


def test_enough_of_them_are_due(late: LateAcks) -> None:
    """At most this number of messages comes again after a power cut."""
    late.add(deliveries(MOST - 1))
    assert late
    assert not late.due
    late.add(deliveries(1))
    assert late.due


def test_the_first_of_them_waits_so_long(late: LateAcks, clock: Clock) -> None:
    """Later ones do not make it wait longer."""
    late.add(deliveries(1))
    clock.now_s += WAIT_S / 2
    late.add(deliveries(1))
    assert not late.due
    clock.now_s += WAIT_S / 2
    assert late.due


def test_what_is_taken_is_gone(late: LateAcks, clock: Clock) -> None:
    """They are returned in the order in which they were done. The time of the next one begins anew."""
    done = deliveries(3)
    late.add(done[:2])
    late.add(done[2:])
    clock.now_s += WAIT_S
    assert late.take() == done
    assert not late
    late.add(deliveries(1))
    assert not late.due
