"""What is known of the panel -> what it is expected to give."""

from __future__ import annotations

import math
from functools import lru_cache

from edge.power.forecast import sun
from edge.power.forecast.memory import BINS, LEADS, PanelMemory, Place
from edge.power.forecast.outlook import Outlook, Step

_HOUR_S = 3600.0
_NIGHT = Step(0.0, 0.0, 0.0)
_DARKER, _BRIGHTER = -0.25, 0.2
_DUSK = 5.0  # W/m2: below, ratios say nothing
_FORGETS_H = 14 * 24  # a board that was away for longer may be elsewhere
_SOON_H = 3
_CAP = 1.6  # of the envelope: clouds beside the sun add to it


def expected(memory: PanelMemory, hour: int) -> float:
    """Mean watts in this hour, as is usual at this time of day and season."""
    return _usual(memory, hour)[0]


def lead_of(memory: PanelMemory, hour: int, ahead: int) -> int:
    """Index into `memory.leads` for a forecast made `ahead` hours before `hour`."""
    if memory.place is None:
        return LEADS - 1
    nights = solar(hour, memory.place)[0] - memory.day.number + (memory.day.hours == 0)
    if nights <= 0:
        return 0 if ahead <= 1 else 1 if ahead <= _SOON_H else 2
    return 3 if nights == 1 else 4


def anomaly(memory: PanelMemory, lead: int) -> float:
    """Recent output / usual output - 1: over the last hours for near leads, over about a day for far ones."""
    given, usual = memory.recent if lead <= 1 else memory.daily
    return max(-1.0, min(1.5, given / usual - 1.0)) if usual > 0 else 0.0


def brightness(than_usual: float) -> int:
    """0: it was darker than usual, 1: as usual, 2: brighter."""
    return 0 if than_usual < _DARKER else 2 if than_usual > _BRIGHTER else 1


def forecast_hour(memory: PanelMemory, hour: int, ahead: int) -> Step:
    """What the hour `ahead` hours from now is expected to give."""
    usual, most = _usual(memory, hour)
    if usual <= 0:
        return _NIGHT
    number = lead_of(memory, hour, ahead)
    lead, than_usual = memory.leads[number], anomaly(memory, number)
    persistence = max(0.0, min(1.0, lead.xy / lead.xx)) if lead.xx > 0 else 0.0
    mid = max(0.02 * usual, usual * (1 + persistence * than_usual))
    mid = min(mid, most) if most > 0 else mid
    k = brightness(than_usual)
    low, high = mid * lead.low[k], mid * lead.high[k]
    return Step(low, mid, max(mid, min(high, most) if most > 0 else high))


def outlook(memory: PanelMemory, now: float, *, hours: int = 72) -> Outlook | None:
    """What the panel is expected to give in the next hours; None without a place.

    Args:
        memory: what was learned, up to the last whole hour.
        now: seconds since the epoch.
        hours: how far to look.
    """
    if memory.place is None or not memory.peak:
        return None
    first = int(now // _HOUR_S)
    days = memory.days if first - memory.last_hour <= _FORGETS_H else 0
    steps = tuple(forecast_hour(memory, first + ahead, max(1, ahead)) for ahead in range(hours))
    return Outlook(first * _HOUR_S, _HOUR_S, steps, days_learned=days)


@lru_cache(maxsize=256)  # the same hours are asked for again each time
def clear_hour(hour: int, place: Place) -> float:
    """Mean watts on a horizontal square metre in this hour, under a clear sky."""
    parts = (1 / 6, 3 / 6, 5 / 6)
    sines = [sun.elevation_sine((hour + part) * _HOUR_S, place.latitude, place.longitude) for part in parts]
    watts = sum(map(sun.clear_sky, sines)) / len(parts)
    return watts if watts >= _DUSK else 0.0


def solar(hour: int, place: Place) -> tuple[int, int]:
    """(day since the epoch, bin) of an hour, by the mean solar time of the place."""
    at = hour + 0.5 + place.longitude / 15
    return math.floor(at / 24), int(at % 24 / 24 * BINS)


def _usual(memory: PanelMemory, hour: int) -> tuple[float, float]:
    """(usual watts, most watts) of an hour."""
    if memory.place is None:
        return 0.0, 0.0
    clear = clear_hour(hour, memory.place)
    if clear <= 0:
        return 0.0, 0.0
    each = memory.bins[solar(hour, memory.place)[1]]
    if each.clear <= 0:  # not seen yet: as all other hours
        given, seen = sum(b.given for b in memory.bins), sum(b.clear for b in memory.bins)
        return (clear * given / seen if seen > 0 else 0.0), 0.0
    return clear * each.given / each.clear, clear * each.envelope * _CAP
