"""Computes the forecast of the panel's power from all that was learned about it."""

from __future__ import annotations

import math
from functools import lru_cache

from edge.power.forecast import sun
from edge.power.forecast.memory import BINS, LEADS, PanelMemory, Place
from edge.power.forecast.outlook import Outlook, Step

_HOUR_S = 3600.0
_NIGHT = Step(0.0, 0.0, 0.0)
_DARKER, _BRIGHTER = -0.25, 0.2
_DUSK = 5.0  # W/m2 of a clear sky; below it, the ratio measured / clear has no meaning
_FORGETS_H = 14 * 24  # a board that was off for longer may have been moved to another place
_SOON_H = 3
_CAP = 1.6  # limit of a forecast, as a multiple of the envelope: clouds near the sun reflect additional light


def expected(memory: PanelMemory, hour: int) -> float:
    """Return the mean watts that are usual in this hour, for the time of day and the season."""
    return _usual(memory, hour)[0]


def lead_of(memory: PanelMemory, hour: int, ahead: int) -> int:
    """Return the index into `memory.leads` for a forecast that is made `ahead` hours before `hour`."""
    if memory.place is None:
        return LEADS - 1
    nights = solar(hour, memory.place)[0] - memory.day.number + (memory.day.hours == 0)
    if nights <= 0:
        return 0 if ahead <= 1 else 1 if ahead <= _SOON_H else 2
    return 3 if nights == 1 else 4


def anomaly(memory: PanelMemory, lead: int) -> float:
    """Return recent power / usual power - 1: over the last hours for a near horizon, over about a day for a far one."""
    given, usual = memory.recent if lead <= 1 else memory.daily
    return max(-1.0, min(1.5, given / usual - 1.0)) if usual > 0 else 0.0


def brightness(than_usual: float) -> int:
    """Return 0 if the anomaly `than_usual` means darker than usual, 1 if usual, 2 if brighter."""
    return 0 if than_usual < _DARKER else 2 if than_usual > _BRIGHTER else 1


def forecast_hour(memory: PanelMemory, hour: int, ahead: int) -> Step:
    """Return the forecast for `hour`, which is `ahead` hours from now."""
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
    """Return the forecast of the next hours, or None if the place is not known or the panel never gave power.

    Args:
        memory: all that was learned, up to the last whole hour.
        now: seconds since the epoch.
        hours: length of the forecast.
    """
    if memory.place is None or not memory.peak:
        return None
    first = int(now // _HOUR_S)
    days = memory.days if first - memory.last_hour <= _FORGETS_H else 0
    steps = tuple(forecast_hour(memory, first + ahead, max(1, ahead)) for ahead in range(hours))
    return Outlook(first * _HOUR_S, _HOUR_S, steps, days_learned=days)


@lru_cache(maxsize=256)  # each new forecast needs nearly the same hours again
def clear_hour(hour: int, place: Place) -> float:
    """Return the mean W/m2 on a horizontal surface in this hour under a clear sky; 0 at dusk and at night."""
    parts = (1 / 6, 3 / 6, 5 / 6)
    sines = [sun.elevation_sine((hour + part) * _HOUR_S, place.latitude, place.longitude) for part in parts]
    watts = sum(map(sun.clear_sky, sines)) / len(parts)
    return watts if watts >= _DUSK else 0.0


def solar(hour: int, place: Place) -> tuple[int, int]:
    """Return (days since the epoch, bin of the day) of an hour, by the mean solar time of the place."""
    at = hour + 0.5 + place.longitude / 15
    return math.floor(at / 24), int(at % 24 / 24 * BINS)


def _usual(memory: PanelMemory, hour: int) -> tuple[float, float]:
    """Return (usual watts, largest possible watts) of an hour. The second is 0 if no limit is known."""
    if memory.place is None:
        return 0.0, 0.0
    clear = clear_hour(hour, memory.place)
    if clear <= 0:
        return 0.0, 0.0
    each = memory.bins[solar(hour, memory.place)[1]]
    if each.clear <= 0:  # this hour of the day was never measured: use the mean ratio of all others
        given, seen = sum(b.given for b in memory.bins), sum(b.clear for b in memory.bins)
        return (clear * given / seen if seen > 0 else 0.0), 0.0
    return clear * each.given / each.clear, clear * each.envelope * _CAP
