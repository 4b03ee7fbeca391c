"""Updates the memory of the panel with one more hour."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.memory import AHEAD, DARK, MOST_W, Bin, Day, Issued, Lead, PanelMemory, Place
from edge.power.forecast.predict import anomaly, brightness, clear_hour, expected, forecast_hour, lead_of, solar

_BIN_DECAY = 0.98
_ENVELOPE_STEP = 0.04
_RECENT_DECAY, _DAILY_DECAY = 0.6, 0.88
_LEAD_DECAY = 0.9999
_QUANTILE_STEP = 0.12
_SCORE_DECAY = 0.99
#: If the clock goes back by more than this, the earlier time was wrong. Learning continues from the new time.
_BACK_H = 48
#: An hour is learned if at least this share of it was measured.
SEEN = 0.6


class HourSample(msgspec.Struct, frozen=True):
    """Mean power of the panel in one hour."""

    hour: int  # since the epoch
    watts: float  # mean
    seen: float = 1.0  # share of the hour that was measured
    full: bool = False  # the battery was full in a part of the hour, so the panel could have given more


def learn(memory: PanelMemory, sample: HourSample, *, outside_wh: float | None = None) -> PanelMemory:
    """Return `memory` with one more hour. It is unchanged if no place is known or the hour is not newer.

    Args:
        memory: all that was learned before.
        sample: the hour that has ended.
        outside_wh: watt-hours that a forecast from outside expects for the solar day that begins. It is used for the
            first hour of a day only.
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
    # With a full battery the panel may give less than it could. Such an hour counts only if it gave the usual or more.
    counts = sample.seen >= SEEN and clear > 0 and not (sample.full and sample.watts < usual)
    if counts and 0 <= sample.watts <= MOST_W:
        memory = _counted(memory, sample, solar_bin, clear, usual)
    return _issue(memory, sample.hour)


def _new_day(memory: PanelMemory, place: Place, number: int, outside_wh: float | None) -> PanelMemory:
    """Score the forecasts of the finished day, and store those for the new day."""
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
    """Return the number of bright hours of a solar day, less one because its first and last hour are uncertain."""
    place = memory.place
    if place is None or number < 0:
        return 0
    first = math.ceil(number * 24 - place.longitude / 15 - 0.5)
    return sum(expected(memory, hour) > DARK * memory.peak for hour in range(first, first + 24)) - 1


def _counted(memory: PanelMemory, sample: HourSample, solar_bin: int, clear: float, usual: float) -> PanelMemory:
    """Learn from an hour that was measured well enough."""
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
    """Return the two decaying sums with one more hour. In their ratio, an hour has the weight of its usual power."""
    return pair[0] * decay + given, pair[1] * decay + usual


def _scored(lead: Lead, issued: Issued, watts: float, weight: float) -> Lead:
    """Update what was learned of one horizon, now that the hour of a forecast has been measured."""
    came = min(4.0, watts / issued.usual) - 1.0 if issued.usual > 0 else 0.0
    low, high, k = list(lead.low), list(lead.high), issued.bright
    # Compare with the bounds that were issued. Then, in the long run, a tenth of the hours lie outside each bound.
    low[k] = min(1.0, max(0.01, low[k] * math.exp(_QUANTILE_STEP * (0.1 if watts >= issued.low else -0.9))))
    high[k] = min(6.0, max(1.0, high[k] * math.exp(_QUANTILE_STEP * (0.9 if watts > issued.high else -0.1))))
    return Lead(
        lead.xy * _LEAD_DECAY + weight * issued.anomaly * came,
        lead.xx * _LEAD_DECAY + weight * issued.anomaly**2,
        (low[0], low[1], low[2]),
        (high[0], high[1], high[2]),
    )


def _issue(memory: PanelMemory, hour: int) -> PanelMemory:
    """Store the present forecasts for the horizons in `AHEAD`. They are compared when their hour has been measured."""
    kept = [each for each in memory.issued if each.hour > hour]
    for ahead in AHEAD:
        step = forecast_hour(memory, hour + ahead, ahead)
        if step.mid > DARK * memory.peak:
            lead = lead_of(memory, hour + ahead, ahead)
            than_usual, usual = anomaly(memory, lead), expected(memory, hour + ahead)
            bright = brightness(than_usual)
            kept.append(Issued(hour + ahead, lead, usual, than_usual, step.mid, step.low, step.high, bright))
    return msgspec.structs.replace(memory, issued=tuple(kept))
