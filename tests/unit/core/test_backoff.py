"""The pauses between failed tries."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.backoff import Backoff

RECORDS = st.builds(
    lambda first_s, longer_s, factor: Backoff(first_s=first_s, most_s=first_s + longer_s, factor=factor),
    st.floats(0, 100),
    st.floats(0, 1e6),
    st.floats(1, 10),
)


def test_each_pause_is_twice_the_one_before_up_to_the_limit() -> None:
    """`edge up` restarts a part that ends again and again with such pauses."""
    assert list(islice(Backoff(first_s=1, most_s=30).pauses(), 7)) == [1, 2, 4, 8, 16, 30, 30]


def test_before_the_first_failure_there_is_no_pause() -> None:
    """Without a failure the pause is 0."""
    assert Backoff(first_s=5, most_s=3600).pause_s(0) == 0


def test_a_number_of_failures_too_large_for_a_float_gives_the_limit() -> None:
    """A job may have been retried for years."""
    assert Backoff(first_s=5, most_s=3600).pause_s(10**6) == 3600


@given(record=RECORDS)
def test_pauses_never_shrink_and_stay_between_first_and_limit(record: Backoff) -> None:
    """This holds for every valid record."""
    pauses = list(islice(record.pauses(), 100))
    assert pauses[0] == record.first_s
    assert all(a <= b <= record.most_s for a, b in pairwise(pauses))


@pytest.mark.parametrize(
    ("first_s", "most_s", "factor"), [(-1, 1, 2), (2, 1, 2), (1, 2, 0.5), (1, float("inf"), 2), (float("nan"), 1, 2)]
)
def test_a_record_that_would_shrink_or_never_end_is_refused(first_s: float, most_s: float, factor: float) -> None:
    """Such a record is a mistake in the program, and is found at its start."""
    with pytest.raises(ValueError, match="first_s"):
        Backoff(first_s=first_s, most_s=most_s, factor=factor)
