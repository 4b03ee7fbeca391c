"""One more hour of the panel -> what is known of it then."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.memory import AHEAD, DARK, Bin, Day, Issued, Lead, PanelMemory, Place
from edge.power.forecast.predict import anomaly, brightness, clear_hour, expected, forecast_hour, lead_of, solar

_BIN_DECAY = 0.98
_ENVELOPE_STEP = 0.04
_RECENT_DECAY, _DAILY_DECAY = 0.6, 0.88
_LEAD_DECAY = 0.9999
_QUANTILE_STEP = 0.12
_SCORE_DECAY = 0.99
#: If the clock goes back by more than this, the earlier time was wrong: learning goes on from the new time.
_BACK_H = 48
#: An hour counts when so much of it was seen.
SEEN = 0.6


class HourSample(msgspec.Struct, frozen=True):
    """What the panel gave in one hour."""

    hour: int  # since the epoch
    watts: float  # mean
    seen: float = 1.0  # share of the hour that was measured
    full: bool = False  # the battery was full for a part of it: the panel could have given more


def learn(memory: PanelMemory, sample: HourSample, *, outside_wh: float | None = None) -> PanelMemory:
    """Return `memory` with one more hour; unchanged if no place is known or the hour is not newer.

    Args:
        memory: what was known.
        sample: the hour that has ended.
        outside_wh: what a forecast from outside says of the solar day that begins; looked at once a day.
    """
    place = memory.place
    if place is None or memory.last_hour - _BACK_H < sample.hour <= memory.last_hour:
        return memory
    memory = msgspec.structs.replace(memory, last_hour=sample.hour)
    number, solar_bin = solar(sample.hour, place)
    if number != memory.day.number:
        memory = _new_day(memory, place, number, outside_wh)
    clear = clear_hour(sample.hour, place)
    usual = expected(memory, sample.hour)
    # A full battery hides what the panel could have given, unless that was much already.
    counts = sample.seen >= SEEN and clear > 0 and not (sample.full and sample.watts < usual)
    if counts and math.isfinite(sample.watts) and sample.watts >= 0:
        memory = _counted(memory, sample, solar_bin, clear, usual)
    return _issue(memory, sample.hour)


def _new_day(memory: PanelMemory, place: Place, number: int, outside_wh: float | None) -> PanelMemory:
    """Score the finished day, and store the forecast for the new one."""
    day = memory.day
    whole = day.number >= 0 and day.hours >= 3
    missed = day.hours < _daylight_hours(memory, day.number)
    ours, as_yesterday, outside = memory.ours, memory.as_yesterday, memory.outside
    if whole and not missed and day.forecast >= 0 and memory.yesterday_wh >= 0:
        ours = ours.plus(day.given - day.forecast, _SCORE_DECAY)
        as_yesterday = as_yesterday.plus(day.given - memory.yesterday_wh, _SCORE_DECAY)
        if day.outside >= 0:
            outside = outside.plus(day.given - day.outside, _SCORE_DECAY)
    memory = msgspec.structs.replace(
        memory,
        ours=ours,
        as_yesterday=as_yesterday,
        outside=outside,
        days=memory.days + int(whole),
        yesterday_wh=day.given if whole and not missed and number == day.number + 1 else -1.0,
    )
    first = math.ceil(number * 24 - place.longitude / 15 - 0.5)
    forecast = sum(forecast_hour(memory, hour, max(1, hour - first + 1)).mid for hour in range(first, first + 24))
    return msgspec.structs.replace(
        memory,
        day=Day(
            number, forecast=forecast if memory.days >= 3 else -1.0, outside=-1.0 if outside_wh is None else outside_wh
        ),
    )


def _daylight_hours(memory: PanelMemory, number: int) -> int:
    """Bright hours of a solar day, less one for its edges."""
    place = memory.place
    if place is None or number < 0:
        return 0
    first = math.ceil(number * 24 - place.longitude / 15 - 0.5)
    return sum(expected(memory, hour) > DARK * memory.peak for hour in range(first, first + 24)) - 1


def _counted(memory: PanelMemory, sample: HourSample, solar_bin: int, clear: float, usual: float) -> PanelMemory:
    """Learn from an hour that was seen well."""
    peak = max(memory.peak * 0.9999, sample.watts)
    old = memory.bins[solar_bin]
    ratio = sample.watts / clear
    envelope = old.envelope
    if clear > 20.0:
        up = ratio > envelope
        envelope = ratio if envelope == 0.0 else max(0.0, envelope * (1 + _ENVELOPE_STEP * (0.9 if up else -0.1)))
    fresh = Bin(old.given * _BIN_DECAY + sample.watts, old.clear * _BIN_DECAY + clear, envelope)
    bins = (*memory.bins[:solar_bin], fresh, *memory.bins[solar_bin + 1 :])
    bright = usual > DARK * peak and usual > 0
    due = [each for each in memory.issued if each.hour == sample.hour]
    memory = msgspec.structs.replace(memory, peak=peak, bins=bins)
    if not bright and sample.watts <= DARK * peak:
        return memory
    leads, below = list(memory.leads), memory.below_low
    for each in due:
        if each.mid <= DARK * peak:
            continue
        leads[each.lead] = _scored(leads[each.lead], each, sample.watts, usual / peak)
        below = below.plus(1.0 if sample.watts < each.low else 0.0, 0.9995)
    day = memory.day
    return msgspec.structs.replace(
        memory,
        leads=tuple(leads),
        below_low=below,
        recent=_faded(memory.recent, _RECENT_DECAY, sample.watts, usual),
        daily=_faded(memory.daily, _DAILY_DECAY, sample.watts, usual),
        day=msgspec.structs.replace(
            day,
            given=day.given + sample.watts,
            expected=day.expected + usual,
            clear=day.clear + clear,
            hours=day.hours + 1,
        ),
    )


def _faded(pair: tuple[float, float], decay: float, given: float, usual: float) -> tuple[float, float]:
    """`pair` with one more hour; an hour counts by what it usually gives."""
    return pair[0] * decay + given, pair[1] * decay + usual


def _scored(lead: Lead, issued: Issued, watts: float, weight: float) -> Lead:
    """What was learned of forecasts so far ahead, after one has come true."""
    came = min(4.0, watts / issued.usual) - 1.0 if issued.usual > 0 else 0.0
    low, high, k = list(lead.low), list(lead.high), issued.bright
    # Compare with the bounds that were issued: then a tenth of the hours lie outside each bound in the long run.
    low[k] = min(1.0, max(0.01, low[k] * math.exp(_QUANTILE_STEP * (0.1 if watts >= issued.low else -0.9))))
    high[k] = min(6.0, max(1.0, high[k] * math.exp(_QUANTILE_STEP * (0.9 if watts > issued.high else -0.1))))
    return Lead(
        lead.xy * _LEAD_DECAY + weight * issued.anomaly * came,
        lead.xx * _LEAD_DECAY + weight * issued.anomaly**2,
        (low[0], low[1], low[2]),
        (high[0], high[1], high[2]),
    )


def _issue(memory: PanelMemory, hour: int) -> PanelMemory:
    """Note what is forecast now for the hours at which forecasts are looked at again."""
    kept = [each for each in memory.issued if each.hour > hour]
    for ahead in AHEAD:
        step = forecast_hour(memory, hour + ahead, ahead)
        if step.mid > DARK * memory.peak:
            lead = lead_of(memory, hour + ahead, ahead)
            than_usual, usual = anomaly(memory, lead), expected(memory, hour + ahead)
            bright = brightness(than_usual)
            kept.append(Issued(hour + ahead, lead, usual, than_usual, step.mid, step.low, step.high, bright))
    return msgspec.structs.replace(memory, issued=tuple(kept))
