"""Where the panel is, from its first and last light."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.power.forecast import sun
from edge.power.forecast.memory import Light, Place

_DAY_S = 86_400.0
KEPT = 60  # days whose light is remembered
LEAST = 3  # days needed before a place is computed
_HORIZONS = (-0.5, 1.0, 2.5, 4.0, 6.0)  # degrees of elevation from which on the panel may see the sun
_USUAL_HORIZON = 2.5


def about(zone_s: float) -> Place:
    """Guess a place from the time zone: the central meridian of the zone, and a middle latitude of the north."""
    return Place(45.0, round(zone_s / 240, 1))


def kept(lights: Sequence[Light], light: Light) -> tuple[Light, ...]:
    """`lights` with one more day; a day of less than 2 h or more than 23 h is left out."""
    if not 2 * 3600 < light.last - light.first < 23 * 3600:
        return tuple(lights)
    return (*lights, light)[-KEPT:]


def place(lights: Sequence[Light]) -> Place | None:
    """Return the place whose day length and noon fit the seen light best, or None with fewer than 3 days.

    Clouds shorten a day that is seen and never lengthen it, so the longer ones count.
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
    """The median of angles that lie close together, in degrees."""
    first = angles[0]
    return first + sorted((each - first + 180) % 360 - 180 for each in angles)[len(angles) // 2]


def _misfit(days: Sequence[tuple[float, float]], latitude: float, horizon: float) -> float:
    """How badly days of this place fit: absolute hours, of the longer half; an odd horizon costs a little."""
    up = math.radians(latitude)
    sine = math.sin(math.radians(horizon))
    misses = list[float]()
    for declination, seen_s in days:
        cosine = (sine - math.sin(up) * math.sin(declination)) / (math.cos(up) * math.cos(declination))
        length_s = math.acos(min(1.0, max(-1.0, cosine))) / math.pi * _DAY_S
        misses.append(length_s - seen_s)
    middle = sorted(misses)[: max(1, len(misses) // 2 + 1)]  # those with few clouds at dawn and dusk
    return sum(abs(miss) for miss in middle) / len(middle) / 3600 + 0.01 * abs(horizon - _USUAL_HORIZON)
