"""Combines readings of the panel into means of whole hours (UTC), and finds the first and last light of each day."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.learn import HourSample
from edge.power.forecast.memory import Light

_HOUR_S = 3600.0
#: Longest gap between two readings, in seconds, that is interpolated.
_GAP_S = 600.0
#: Longest gap between two readings, in seconds, in which a first or last light counts. A board that is off because of
#: low power wakes once an hour.
_BLINK_S = 5400.0
#: A battery at or above this charge may take less than the panel could give.
FULL_PERCENT = 97.0
#: At or above this share of its peak, the panel sees light.
_LIGHT = 0.01
_LEAST_LIGHT_W = 0.05


class Gathered(msgspec.Struct, frozen=True, array_like=True):
    """The sums of the present hour, and the first light of the day. Times are epoch seconds."""

    hour: int = 0  # since the epoch
    watt_s: float = 0.0
    seen_s: float = 0.0  # seconds of the hour that were measured
    full: bool = False  # the battery was full in a part of the hour
    at: float = 0.0  # time of the last reading
    watts: float = 0.0  # power of the last reading
    dark_at: float = 0.0  # time of the last dark reading
    first: float = 0.0  # first light after a dark reading; 0 if there is none yet


def gather(
    gathered: Gathered, at: float, watts: float, *, full: bool, peak: float
) -> tuple[Gathered, HourSample | None, Light | None]:
    """Add one reading.

    Return (new sums, the hour that has ended or None, first and last light of the day that has ended or None).

    Args:
        gathered: the sums before this reading.
        at: time of the reading, in seconds since the epoch by a trusted clock.
        watts: power of the panel.
        full: True if the battery is full, so that the panel may give less than it could.
        peak: largest mean power of an hour so far, in watts.
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
    """Return (first and last light of the day that has ended or None, time of the last dark reading, first light)."""
    middle = (gathered.at + at) / 2  # assume that light and dark changed in the middle between two readings
    if not math.isfinite(watts) or not 0 < at - gathered.at <= _BLINK_S:
        return None, at if watts < limit else 0.0, 0.0
    if watts < limit:
        light = Light(gathered.first, middle) if gathered.first and gathered.watts >= limit else None
        return light, at, 0.0 if light else gathered.first
    began = gathered.watts < limit and gathered.dark_at > 0
    return None, gathered.dark_at, middle if began and not gathered.first else gathered.first
