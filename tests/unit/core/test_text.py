"""Durations and sizes as text for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.text import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (9_000, "2.5 h"),
        (200_000, "2 days"),
    ],
)
def test_a_wait_is_said_in_few_digits(seconds: float, text: str) -> None:
    """People read such a sentence while the time passes, so few digits are enough."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "4 ms"),
        (0.44, "0.4 s"),
        (9.96, "10.0 s"),
        (60, "60 s"),
        (300, "5 min"),
        (7_200, "2.0 h"),
        (11_000, "3.1 h"),
        (2e5, "2.3 days"),
    ],
)
def test_what_was_measured_is_said_in_more_digits(seconds: float, text: str) -> None:
    """More digits show how long a job took, or how old a reading is."""
    assert duration(seconds, fine=True) == text


@given(seconds=st.floats(-1e9, 1e12), fine=st.booleans())
def test_a_duration_is_one_number_and_one_unit(seconds: float, fine: bool) -> None:
    """This holds for every number."""
    number, unit = duration(seconds, fine=fine).split(" ")
    assert float(number) >= 0
    assert unit in {"ms", "s", "min", "h", "days"}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1_500_000, "1.5 MB"), (3e9, "3.0 GB")]
)
def test_a_size_is_said_in_its_unit(count: float, text: str) -> None:
    """Units are powers of ten, as disks are sold."""
    assert size(count) == text
