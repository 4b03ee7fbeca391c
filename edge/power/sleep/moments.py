"""Computes the time until a local time of day. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.config.sleep import AcceptConfig

_DAY_MIN = 24 * 60
#: Maps seconds from now to the local time of day in minutes, with fraction.
MinuteAt = Callable[[float], float]


def until(minute_at: MinuteAt, minute: int) -> float:
    """Return the seconds until the local clock next shows `minute` of the day; 0 to 25 hours.

    The result is correct across a change to or from daylight saving time.
    """
    left_s = ((minute - minute_at(0.0)) % _DAY_MIN) * 60
    # If the clock changes in between, this is wrong by the size of the change.
    off_min = (minute - minute_at(left_s) + _DAY_MIN / 2) % _DAY_MIN - _DAY_MIN / 2
    return max(0.0, left_s + off_min * 60)


def inside(windows: Sequence[AcceptConfig], minute: float) -> bool:
    """Return True if `minute` of the day is in one of the windows."""
    return any(_holds(*window.minutes, minute) for window in windows)


def next_window(windows: Sequence[AcceptConfig], minute_at: MinuteAt) -> float | None:
    """Return the seconds until the next window begins, or None if there are no windows."""
    return min((until(minute_at, window.minutes[0]) for window in windows), default=None)


def _holds(first: int, end: int, minute: float) -> bool:
    if first < end:
        return first <= minute < end
    return minute >= first or minute < end
