"""A moment that a submitter names, as in RFC 3339: with an offset, so that two readers understand the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
EXAMPLE = "2026-11-28T14:30:00+01:00"
#: Nobody plans farther ahead, and most programs cannot print such a date.
LAST_YEAR = 2200


class BadInstant(ValueError):
    """A text that names no moment; the message says what is wrong with it."""


def instant(text: str) -> float:
    """Return the seconds since 1970 of `text`. Raises BadInstant."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadInstant(f"{text[:80]!r}: a date and time with its offset from UTC, such as {EXAMPLE}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if hour == 24:
        raise BadInstant(f"{text!r}: the hours of a day are 00 to 23; midnight is 00:00 of the next day")
    if second == 60:
        raise BadInstant(f"{text!r}: a leap second, which this board's clock does not show; give second 59 or 00")
    try:
        zone = UTC
        if found[9]:
            hours, minutes = int(found[10]), int(found[11])
            if minutes > 59:
                raise ValueError("minutes of an offset are 00 to 59")
            if hours > 23:
                raise ValueError("hours of an offset are 00 to 23")
            zone = timezone((1 if found[9] == "+" else -1) * timedelta(hours=hours, minutes=minutes))
        at = datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()
    except (ValueError, OverflowError) as err:
        raise BadInstant(f"{text!r}: no such time: {err}") from err
    if not 1970 <= year <= LAST_YEAR:
        raise BadInstant(f"{text!r}: a year from 1970 to {LAST_YEAR}")
    return at + float(found[7] or 0)


def shown(at: float) -> str:
    """Return a moment as text in UTC, to the second: `2026-11-28 13:30:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
