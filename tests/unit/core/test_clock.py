"""Decisions if the wall clock can be trusted."""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime

import pytest

from edge.core import clock


def test_the_earliest_plausible_time_is_the_first_second_of_its_year() -> None:
    """The two constants for the earliest time agree."""
    assert datetime(clock.EARLIEST_YEAR, 1, 1, tzinfo=UTC).timestamp() == clock.EARLIEST


@pytest.mark.parametrize(("at", "expected"), [(0.0, False), (clock.EARLIEST - 1, False), (clock.EARLIEST, True)])
def test_a_time_before_this_program_was_written_is_not_plausible(at: float, expected: bool) -> None:
    """A board without a battery-backed clock boots in 1970, or in the year of its image."""
    assert clock.plausible(at) is expected


def test_a_clock_that_something_keeps_true_is_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synchronised clock may decide by ages."""
    monkeypatch.setattr(clock, "synchronised", lambda: True)
    now = clock.vouched_now()
    assert now is not None
    assert abs(now - time.time()) < 60


def test_a_clock_that_nothing_keeps_true_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may show 2036, and then every result would be too old."""
    monkeypatch.setattr(clock, "synchronised", lambda: False)
    assert clock.vouched_now() is None


def test_a_clock_that_shows_1970_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds even if the kernel reports that the clock is synchronised."""
    monkeypatch.setattr(clock, "synchronised", lambda: True)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert clock.vouched_now() is None


def test_whether_the_kernel_keeps_its_clock_true_can_be_asked() -> None:
    """The call works with any answer of this machine."""
    assert clock.synchronised() in {True, False}


def test_a_steady_clock_follows_when_it_is_told_to() -> None:
    """A step of the wall clock does not count as time, and is reported once."""
    wall, monotonic = [1000.0], [5.0]
    steady = clock.SteadyClock(wall=lambda: wall[0], monotonic=lambda: monotonic[0])
    wall[0], monotonic[0] = 5010.0, 15.0
    assert steady.now() == 1010.0
    assert steady.follow() == 4000.0
    assert (steady.now(), steady.follow()) == (5010.0, 0.0)


def test_nobody_is_woken_while_the_clock_is_not_set() -> None:
    """The descriptor stays unreadable, and closing it twice does nothing."""
    watch = clock.ClockSet()
    watch.rearm()
    assert select.select([watch], [], [], 0.05)[0] == []
    watch.close()
    watch.close()
    assert watch.fileno() == -1
