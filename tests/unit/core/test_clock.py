"""Whether the wall clock can be believed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from edge.core import clock


def test_the_earliest_plausible_time_is_the_first_second_of_its_year() -> None:
    """The two constants say the same."""
    assert datetime(clock.EARLIEST_YEAR, 1, 1, tzinfo=UTC).timestamp() == clock.EARLIEST


@pytest.mark.parametrize(("at", "expected"), [(0.0, False), (clock.EARLIEST - 1, False), (clock.EARLIEST, True)])
def test_a_time_before_this_program_was_written_is_not_plausible(at: float, expected: bool) -> None:
    """A board without a clock of its own boots in 1970, or in the year of its image."""
    assert clock.plausible(at) is expected


def test_a_clock_that_something_keeps_true_is_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then ages count."""
    monkeypatch.setattr(clock, "synchronised", lambda: True)
    now = clock.vouched_now()
    assert now is not None
    assert abs(now - time.time()) < 60


def test_a_clock_that_nothing_keeps_true_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may show 2036, and every result would be too old."""
    monkeypatch.setattr(clock, "synchronised", lambda: False)
    assert clock.vouched_now() is None


def test_a_clock_that_shows_1970_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the kernel says that it is kept true."""
    monkeypatch.setattr(clock, "synchronised", lambda: True)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert clock.vouched_now() is None


def test_whether_the_kernel_keeps_its_clock_true_can_be_asked() -> None:
    """Whatever it says here."""
    assert clock.synchronised() in {True, False}
