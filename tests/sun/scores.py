"""Scores the forecast over a year of one panel that is always measured."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.learn import HourSample, learn
from edge.power.forecast.memory import DARK, PanelMemory, Place
from edge.power.forecast.predict import forecast_hour
from tests.sun.models import Panel
from tests.sun.weather import DAYS, Weather

_FIRST_DAY = 10  # the days before are only for learning


class Scores(msgspec.Struct, frozen=True):
    """Errors in Wh of the next day's energy, forecast at midnight, and how often an hour was below its P10."""

    name: str
    ours_rmse: float
    yesterday_rmse: float
    ours_mae: float
    yesterday_mae: float
    below_p10: float  # percent of the bright hours


def score(weather: Weather, panel: Panel) -> Scores:
    """Forecast each day of the year from the days before it, and return the errors."""
    minutes = panel.series(weather)
    hourly = [sum(minutes[hour * 60 : hour * 60 + 60]) / 60 for hour in range(DAYS * 24)]
    memory = PanelMemory(place=Place(weather.latitude, weather.longitude, given=True))
    first = int(weather.epoch(0) // 3600)
    ours, yesterday, below, bright = list[float](), list[float](), 0, 0
    for hour, watts in enumerate(hourly):
        if hour % 24 == 0 and hour >= _FIRST_DAY * 24:
            forecast = sum(forecast_hour(memory, first + hour + ahead, ahead + 1).mid for ahead in range(24))
            measured = sum(hourly[hour : hour + 24])
            ours.append(measured - forecast)
            yesterday.append(measured - sum(hourly[hour - 24 : hour]))
        if hour >= _FIRST_DAY * 24:
            due = [each for each in memory.issued if each.hour == first + hour and each.mid > DARK * memory.peak]
            bright += len(due)
            below += sum(watts < each.low for each in due)
        memory = learn(memory, HourSample(first + hour, watts))
    return Scores(weather.name, _rms(ours), _rms(yesterday), _mae(ours), _mae(yesterday), 100 * below / max(1, bright))


def _rms(errors: list[float]) -> float:
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def _mae(errors: list[float]) -> float:
    return sum(map(abs, errors)) / len(errors)
