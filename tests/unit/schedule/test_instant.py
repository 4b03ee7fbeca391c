"""A moment is understood in one way, or refused with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.schedule.instant import BadInstant, instant, shown

FIRST, LAST = datetime(1971, 1, 1), datetime(2199, 12, 30)  # noqa: DTZ001 - hypothesis adds the zones
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(FIRST, LAST, timezones=ZONES))
def test_what_datetime_writes_is_read_as_the_same_moment(at: datetime) -> None:
    """Whatever the offset; to the microsecond."""
    assert instant(at.isoformat()) == pytest.approx(at.timestamp(), abs=1e-6)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9:]{5})"))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    """Never another exception, and a short sentence."""
    try:
        said = str(instant(text))
    except BadInstant as err:
        said = str(err)
    assert len(said.splitlines()) == 1
    assert len(said) < 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-11-28T24:00:00Z", "midnight"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-11-28T10:00:00", "offset"),
        ("2026-11-28", "offset"),
        ("2026-11-28T10:00:00+99:00", "no such time: hours of an offset are 00 to 23$"),
        ("2026-13-01T10:00:00Z", "no such time"),
        ("9999-01-01T10:00:00Z", "year"),
        ("١٩٩٩-01-01T10:00:00Z", "offset"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, says: str) -> None:
    """Each usual mistake has its own word."""
    with pytest.raises(BadInstant, match=says):
        instant(text)


def test_a_moment_is_shown_in_utc() -> None:
    """The reader may be elsewhere than the board."""
    assert shown(datetime(2026, 11, 28, 13, 30, tzinfo=UTC).timestamp()) == "2026-11-28 13:30:00 UTC"
