"""Numbers and times as people read them on a plot."""

from __future__ import annotations

import time

#: Stands in a table where nothing is known.
NOTHING = "-"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def amount(value: float | None, unit: str = "") -> str:
    """A number with two or three digits and its unit; `NOTHING` for none."""
    if value is None:
        return NOTHING
    text = f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"
    text = "0" if text == "-0" else text
    return f"{text} {unit}".strip()


def clock(at: float) -> str:
    """The time of day, in the board's zone."""
    return time.strftime("%H:%M", time.localtime(at))


def day(at: float) -> str:
    """Day and month, in the board's zone."""
    local = time.localtime(at)
    return f"{local.tm_mday} {_MONTHS[local.tm_mon - 1]}"


def moment(at: float) -> str:
    """Day, month and time of day."""
    return f"{day(at)} {clock(at)}"


def lasting(seconds: float) -> str:
    """A length of time in hours and minutes."""
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"
