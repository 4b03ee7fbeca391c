"""Writes numbers and times as people read them on a plot."""

from __future__ import annotations

import time

#: The cell of a table whose value is not known.
NOTHING = "-"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def amount(value: float | None, unit: str = "") -> str:
    """Return a number and its unit, or `NOTHING` if it is None. Only a number below 10 keeps one decimal."""
    if value is None:
        return NOTHING
    text = f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"
    text = "0" if text == "-0" else text
    return f"{text} {unit}".strip()


def clock(at: float) -> str:
    """Return the time of day, in the board's time zone."""
    return time.strftime("%H:%M", time.localtime(at))


def day(at: float) -> str:
    """Return day and month, in the board's time zone."""
    local = time.localtime(at)
    return f"{local.tm_mday} {_MONTHS[local.tm_mon - 1]}"


def moment(at: float) -> str:
    """Return day, month and time of day, in the board's time zone."""
    return f"{day(at)} {clock(at)}"


def lasting(seconds: float) -> str:
    """Return a duration in hours and minutes."""
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"
