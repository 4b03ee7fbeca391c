"""How long until a time of day, by the clock on the wall. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.config.sleep import AcceptConfig

_DAY_MIN = 24 * 60
#: Maps seconds from now to the local time of day in minutes, with fraction.
MinuteAt = Callable[[float], float]


def until(minute_at: MinuteAt, minute: int) -> float:
    """Seconds until the clock shows `minute` of the day next, correct across a change of summer time; 0 to 25 hours."""
    left_s = ((minute - minute_at(0.0)) % _DAY_MIN) * 60
    # Where clocks are changed in between, that is an hour off.
    off_min = (minute - minute_at(left_s) + _DAY_MIN / 2) % _DAY_MIN - _DAY_MIN / 2
    return max(0.0, left_s + off_min * 60)


def inside(windows: Sequence[AcceptConfig], minute: float) -> bool:
    """True in one of the windows."""
    return any(_holds(*window.minutes, minute) for window in windows)


def next_window(windows: Sequence[AcceptConfig], minute_at: MinuteAt) -> float | None:
    """Seconds until the next window begins; None where there is none."""
    return min((until(minute_at, window.minutes[0]) for window in windows), default=None)


def _holds(first: int, end: int, minute: float) -> bool:
    if first < end:
        return first <= minute < end
    return minute >= first or minute < end
