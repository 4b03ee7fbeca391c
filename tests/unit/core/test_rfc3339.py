"""Times as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import rfc3339
from edge.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-01T24:00:00Z", "00:00 of the next day"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-02-30T00:00:00Z", "no such time"),
        ("2026-01-01T00:00:00", "offset"),
        ("2026-01-01T00:00:00+99:00", "no such time: an offset has hours 00 to 23 and minutes 00 to 59$"),
        ("2026-01-01T00:00:00-24:00", "no such time: an offset has hours"),
        ("2026-01-01T00:00:00+10:99", "no such time: an offset has hours"),
        ("20260101T000000Z", "RFC 3339"),
        ("2026-W01-1", "RFC 3339"),
        ("0001-01-01T00:00:00Z", "a year from"),
        ("x" * 10_000, "RFC 3339"),
        ("", "RFC 3339"),
    ],
)
def test_bad_times_get_one_sentence(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rfc3339.parsed(text, name="--from")


@given(st.integers(0, 7_000_000_000))
def test_what_is_written_is_read_as_the_same_time(at: int) -> None:
    assert rfc3339.parsed(rfc3339.text_of(at), name="x").timestamp() == at
