"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import rfc3339
from edge.core.errors import UsageError

FIRST, LAST = datetime(1971, 1, 1), datetime(2199, 12, 30)  # noqa: DTZ001 - hypothesis adds the zones
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


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
        ("9999-01-01T10:00:00Z", "a year from"),
        ("2026-13-01T10:00:00Z", "no such time"),
        ("2026-11-28", "RFC 3339"),
        ("١٩٩٩-01-01T10:00:00Z", "RFC 3339"),
        ("x" * 10_000, "RFC 3339"),
        ("", "RFC 3339"),
    ],
)
def test_bad_times_get_one_sentence(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rfc3339.parsed(text, name="--from")


@given(st.datetimes(FIRST, LAST, timezones=ZONES))
def test_what_datetime_writes_is_read_as_the_same_moment(at: datetime) -> None:
    """This holds for every offset, to the microsecond."""
    assert rfc3339.parsed(at.isoformat(), name="x").timestamp() == pytest.approx(at.timestamp(), abs=1e-6)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9:]{5})"))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    """Other text raises only UsageError, with one short sentence."""
    try:
        said = str(rfc3339.parsed(text, name="x"))
    except UsageError as err:
        said = str(err)
    assert len(said.splitlines()) == 1
    assert len(said) < 600


def test_a_moment_is_shown_in_utc() -> None:
    """The reader may be in another time zone than the board."""
    assert rfc3339.in_utc(datetime(2026, 11, 28, 13, 30, tzinfo=UTC).timestamp()) == "2026-11-28 13:30:00 UTC"


@given(st.integers(0, 7_000_000_000))
def test_what_is_written_is_read_as_the_same_time(at: int) -> None:
    assert rfc3339.parsed(rfc3339.text_of(at), name="x").timestamp() == at
