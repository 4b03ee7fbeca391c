"""Turns durations, times and sizes into text for people, and reads durations."""

from __future__ import annotations

import re
import time

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0


def duration(seconds: float, *, fine: bool = False) -> str:
    """Return a span of time in a unit that fits its length: `20 s`, `5 min`, `2.5 h`, `3 days`.

    Args:
        seconds: the span; a negative one counts as 0.
        fine: True for more digits, for a span that was measured: `8 ms`, `0.4 s`, `3.0 h`, `2.3 days`.
    """
    left_s = max(0.0, seconds)
    if fine and left_s < 0.1:
        return f"{left_s * 1000:.0f} ms"
    if fine and left_s < 10:
        return f"{left_s:.1f} s"
    if left_s < 2 * _MINUTE_S:
        return f"{left_s:.0f} s"
    if left_s < 2 * _HOUR_S:
        return f"{left_s / _MINUTE_S:.0f} min"
    if left_s < 2 * _DAY_S:
        hours = f"{left_s / _HOUR_S:.1f}"
        return f"{hours if fine else hours.removesuffix('.0')} h"
    return f"{left_s / _DAY_S:.{1 if fine else 0}f} days"


_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|min|m|h|d)?")


def seconds(text: str) -> float | None:
    """Return the seconds of a duration such as `90`, `30s`, `20m`, `2h`, `1h30m` or `3d`, or None for other text."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return float(sum(float(number) * _UNITS_S[unit or "s"] for number, unit in parts))


def when(at: float | None) -> str:
    """Return a time of the board's clock as local time of this machine, or an empty string if there is no time."""
    if not at:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return f"{at:g}"


def size(count_bytes: float) -> str:
    """Return a number of bytes in a unit that fits its size: `23 bytes`, `1.5 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count_bytes >= factor:
            return f"{count_bytes / factor:.1f} {unit}"
    return f"{count_bytes:.0f} bytes"


def moment(at: float) -> str:
    """Return a time of the board's clock without its date if it is near: `15:05`, `tomorrow 10:40`."""
    text, now = when(at), time.time()
    for day, word in ((now, ""), (now + 86_400, "tomorrow ")):
        if text[:10] == when(day)[:10]:
            return f"{word}{text[11:16]}"
    return text[:16]
