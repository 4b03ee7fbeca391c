"""Reads and writes times as text in the form of RFC 3339, such as `2026-03-29T02:30:00+02:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from edge.core.errors import UsageError

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_EXAMPLE = "2026-03-29T02:30:00+02:00"
_FIRST, _LAST = 1970, 2200  # years; nobody plans farther ahead, and many programs cannot print later dates


def parsed(text: str, *, name: str, zone: tzinfo | None = None) -> datetime:
    """Return the time in `text`, with its offset.

    Args:
        text: the text that a person wrote.
        name: the name of the value in errors.
        zone: the zone of a time without an offset; if None, the offset is required.

    Raises:
        UsageError: the text is not a time in this form, or not an existing time.
    """
    shown = f"{name} {text[:80]!r}"
    found = _FORM.fullmatch(text)
    if found is None:
        offset = " with its offset from UTC" if zone is None else ""
        raise UsageError(f"{shown}: expected a time{offset} in the form of RFC 3339, such as {_EXAMPLE}")
    year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
    second, fraction, offset = int(found[6] or 0), found[7] or "", found[8] or ""
    if not offset and zone is None:
        raise UsageError(f"{shown}: expected an offset from UTC at its end, such as Z or +02:00")
    if hour == 24:
        raise UsageError(f"{shown}: hour 24 is not taken; midnight is 00:00 of the next day")
    if offset[1:] and (int(offset[1:3]) > 23 or int(offset[4:]) > 59):
        raise UsageError(f"{shown}: no such time: an offset has hours 00 to 23 and minutes 00 to 59")
    if second == 60:
        raise UsageError(f"{shown}: a leap second is not taken, because no clock of a computer shows it")
    if not _FIRST <= year <= _LAST:
        raise UsageError(f"{shown}: expected a year from {_FIRST} to {_LAST}")
    try:
        at = datetime(year, month, day, hour, minute, second, int(f"{fraction:0<6}"[:6]), tzinfo=zone or UTC)
        if offset:
            at = datetime.fromisoformat(f"{at.replace(tzinfo=None).isoformat()}{offset.upper()}")
        return at
    except ValueError as err:
        raise UsageError(f"{shown}: no such time: {err}") from err


def text_of(at: float, zone: tzinfo = UTC) -> str:
    """Return seconds since 1970 in the form of RFC 3339, to the second, with the offset of `zone` at that time."""
    return datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")


def in_utc(at: float) -> str:
    """Return seconds since 1970 as text for people, to the second: `2026-11-28 13:30:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
