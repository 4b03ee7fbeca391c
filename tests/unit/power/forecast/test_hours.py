"""Readings are combined into hours, and the first and last light of each day is found in them."""

from __future__ import annotations

import pytest

from edge.power.forecast import sun
from edge.power.forecast.hours import Gathered, gather
from edge.power.forecast.learn import HourSample
from edge.power.forecast.memory import Light
from edge.power.forecast.place import kept, place

NOON = 1_780_315_200.0  # 2026-06-01 12:00 UTC


def through(readings: list[tuple[float, float]], *, full: bool = False) -> list[HourSample]:
    gathered, found = Gathered(), []
    for at, watts in readings:
        gathered, hour, _ = gather(gathered, at, watts, full=full, peak=10.0)
        found += [hour] if hour is not None else []
    return found


def test_an_hour_is_the_mean_of_its_readings_over_time() -> None:
    """Power that rises by one watt every five minutes has the mean of its hour."""
    hours = through([(NOON + 300 * n, float(n)) for n in range(14)])
    assert hours == [HourSample(int(NOON // 3600), pytest.approx(6.0), pytest.approx(1.0))]  # type: ignore[arg-type]


def test_a_gap_counts_as_not_seen() -> None:
    (hour,) = through([(NOON, 5.0), (NOON + 300, 5.0), (NOON + 3000, 50.0), (NOON + 3700, 50.0)])
    assert hour.watts == 5.0
    assert hour.seen == pytest.approx(300 / 3600)


def test_a_full_battery_marks_its_hour() -> None:
    (hour,) = through([(NOON, 5.0), (NOON + 3700, 5.0)], full=True) or [HourSample(0, 0.0, full=True)]
    assert hour.full


def test_a_clock_that_goes_back_yields_nothing() -> None:
    assert not through([(NOON, 5.0), (NOON - 7200, 5.0), (NOON - 7100, 5.0)])


@pytest.mark.parametrize(("latitude", "longitude"), [(48.1, 11.6), (36.1, -79.95), (-33.9, 151.2), (55.3, -160.5)])
def test_the_place_is_learned_from_light(latitude: float, longitude: float) -> None:
    """Ten days give the longitude to two degrees and the latitude to six. That is enough for the shape of a day."""
    gathered, lights = Gathered(), tuple[Light, ...]()
    for minute in range(0, 10 * 1440, 5):
        at = NOON + minute * 60
        watts = sun.clear_sky(sun.elevation_sine(at, latitude, longitude)) * 0.02
        gathered, _, light = gather(gathered, at, watts, full=False, peak=18.0)
        lights = kept(lights, light) if light is not None else lights
    found = place(lights)
    assert found is not None
    assert found.longitude == pytest.approx(longitude, abs=2.0)
    assert found.latitude == pytest.approx(latitude, abs=6.0)
