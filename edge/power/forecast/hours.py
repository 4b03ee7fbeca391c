"""Readings of the panel, gathered into whole hours of the wall clock."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.learn import HourSample
from edge.power.forecast.memory import Light

_HOUR_S = 3600.0
#: Longest gap in seconds between two readings that is interpolated.
_GAP_S = 600.0
#: Longest gap in which first or last light may lie. A board that is off because of low power wakes once an hour.
_BLINK_S = 5400.0
#: A battery at or above this charge may take less than the panel could give.
FULL_PERCENT = 97.0
#: The panel sees light from this share of its peak on.
_LIGHT = 0.01
_LEAST_LIGHT_W = 0.05


class Gathered(msgspec.Struct, frozen=True, array_like=True):
    """The hour that is being gathered, and the light of the day."""

    hour: int = 0
    watt_s: float = 0.0
    seen_s: float = 0.0
    full: bool = False
    at: float = 0.0  # of the last reading
    watts: float = 0.0
    dark_at: float = 0.0  # when it was dark last
    first: float = 0.0  # first light after a dark that was seen; 0: none


def gather(
    gathered: Gathered, at: float, watts: float, *, full: bool, peak: float
) -> tuple[Gathered, HourSample | None, Light | None]:
    """(what is gathered then, the hour that has ended, the light of the day that has ended).

    Args:
        gathered: so far.
        at: seconds since the epoch, trusted.
        watts: of the panel now.
        full: the battery is, so that the panel may give less than it could.
        peak: most watts of an hour so far.
    """
    hour, span_s = int(at // _HOUR_S), at - gathered.at
    done: HourSample | None = None
    watt_s, seen_s, was_full = gathered.watt_s, gathered.seen_s, gathered.full
    begins = max(gathered.at, hour * _HOUR_S)
    mean = (gathered.watts + watts) / 2
    if hour != gathered.hour:
        if gathered.hour and hour > gathered.hour:
            tail_s = (gathered.hour + 1) * _HOUR_S - gathered.at
            if 0 < span_s <= _GAP_S:
                watt_s, seen_s = watt_s + mean * tail_s, seen_s + tail_s
            if seen_s > 0:
                done = HourSample(gathered.hour, watt_s / seen_s, seen_s / _HOUR_S, was_full)
        watt_s, seen_s, was_full = 0.0, 0.0, False
    if 0 < span_s <= _GAP_S:
        watt_s, seen_s = watt_s + mean * (at - begins), seen_s + at - begins
    light, dark_at, first = _light(gathered, at, watts, max(_LEAST_LIGHT_W, _LIGHT * peak))
    return Gathered(hour, watt_s, seen_s, was_full or full, at, watts, dark_at, first), done, light


def _light(gathered: Gathered, at: float, watts: float, limit: float) -> tuple[Light | None, float, float]:
    """(the day whose last light was seen, when it was dark last, first light)."""
    middle = (gathered.at + at) / 2  # between two readings it became light or dark
    if not math.isfinite(watts) or not 0 < at - gathered.at <= _BLINK_S:
        return None, at if watts < limit else 0.0, 0.0
    if watts < limit:
        light = Light(gathered.first, middle) if gathered.first and gathered.watts >= limit else None
        return light, at, 0.0 if light else gathered.first
    began = gathered.watts < limit and gathered.dark_at > 0
    return None, gathered.dark_at, middle if began and not gathered.first else gathered.first
