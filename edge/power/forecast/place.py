"""Computes the location of the panel from its first and last light."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.power.forecast import sun
from edge.power.forecast.memory import Light, Place

_DAY_S = 86_400.0
KEPT = 60  # number of days whose light is remembered
LEAST = 3  # number of days that are needed to compute a place
_HORIZONS = (-0.5, 1.0, 2.5, 4.0, 6.0)  # possible elevations of the sun, in degrees, at which the panel first sees it
_USUAL_HORIZON = 2.5


def about(zone_s: float) -> Place:
    """Guess a place from the time zone: the central meridian of the zone, and a middle latitude of the north.

    Args:
        zone_s: offset of the zone from UTC in seconds, east positive.
    """
    return Place(45.0, round(zone_s / 240, 1))


def kept(lights: Sequence[Light], light: Light) -> tuple[Light, ...]:
    """Return `lights` with one more day. A day of at most 2 h or at least 23 h is left out."""
    if not 2 * 3600 < light.last - light.first < 23 * 3600:
        return tuple(lights)
    return (*lights, light)[-KEPT:]


def place(lights: Sequence[Light]) -> Place | None:
    """Return the place whose day length and noon fit the seen light best, or None if there are fewer than 3 days.

    Clouds can shorten the time in which light is seen, but never lengthen it. So only the longer days count.
    """
    if len(lights) < LEAST:
        return None
    noons, days = list[float](), list[tuple[float, float]]()
    for light in lights:
        noon = (light.first + light.last) / 2
        declination, ahead_s = sun.declination_and_noon(noon)
        noons.append(((noon + ahead_s) % _DAY_S) / 240 - 180)
        days.append((declination, light.last - light.first))
    longitude = -_middle(noons)
    found = min(
        (
            (_misfit(days, latitude / 2, horizon), latitude / 2)
            for latitude in range(-130, 131)
            for horizon in _HORIZONS
        ),
        key=lambda pair: pair[0],
    )
    return Place(found[1], round((longitude + 180) % 360 - 180, 2))


def _middle(angles: Sequence[float]) -> float:
    """Return the median of angles in degrees that lie close together."""
    first = angles[0]
    return first + sorted((each - first + 180) % 360 - 180 for each in angles)[len(angles) // 2]


def _misfit(days: Sequence[tuple[float, float]], latitude: float, horizon: float) -> float:
    """Return how badly this place fits: the mean absolute error of the day length, in hours.

    Only the longer half of the days counts. An unusual horizon adds a small penalty.
    """
    up = math.radians(latitude)
    sine = math.sin(math.radians(horizon))
    misses = list[float]()
    for declination, seen_s in days:
        cosine = (sine - math.sin(up) * math.sin(declination)) / (math.cos(up) * math.cos(declination))
        length_s = math.acos(min(1.0, max(-1.0, cosine))) / math.pi * _DAY_S
        misses.append(length_s - seen_s)
    middle = sorted(misses)[: max(1, len(misses) // 2 + 1)]  # the days with few clouds at dawn and dusk
    return sum(abs(miss) for miss in middle) / len(middle) / 3600 + 0.01 * abs(horizon - _USUAL_HORIZON)
