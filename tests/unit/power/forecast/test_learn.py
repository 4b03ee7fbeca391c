"""What the forecast learns from the hours of a panel."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.power.forecast import outside
from edge.power.forecast.learn import HourSample, learn
from edge.power.forecast.memory import Light, PanelMemory, Place, Score
from edge.power.forecast.outlook import Outlook
from edge.power.forecast.place import place
from edge.power.forecast.predict import clear_hour, expected, outlook
from edge.power.planner.path import energy_wh

PLACE = Place(48.1, 11.6, given=True)
FIRST = 1_780_272_000 // 3600  # 2026-06-01 00:00 UTC


def share(hour: int, seed: int = 1) -> float:
    """Return the share of the clear sky that clouds let through: a random share of the day times one of the hour."""
    daily = random.Random(f"{seed} {hour // 24}").choice((0.2, 0.5, 0.9, 0.95))
    return daily * random.Random(f"{seed} {hour}").uniform(0.8, 1.0)


def learned(hours: int, *, scale: float = 0.02, full: bool = False) -> PanelMemory:
    memory = PanelMemory(place=PLACE)
    for hour in range(FIRST, FIRST + hours):
        watts = clear_hour(hour, PLACE) * share(hour) * scale
        memory = learn(memory, HourSample(hour, watts, full=full))
    return memory


def made(memory: PanelMemory, hours: int) -> Outlook:
    found = outlook(memory, (FIRST + hours) * 3600.0)
    assert found is not None
    return found


def test_a_panel_of_any_size_is_learned_without_being_named() -> None:
    """A panel of twice the size gets twice the forecast."""
    small, large = made(learned(480), 480), made(learned(480, scale=0.04), 480)
    assert large.steps[12].mid == pytest.approx(2 * small.steps[12].mid)


def test_nothing_is_expected_at_night() -> None:
    view = made(learned(480), 480)
    assert view.steps[0].high == 0.0  # one o'clock in the morning
    assert view.steps[11].low > 0.0


def test_the_energy_of_a_day_is_near_the_mean_of_days() -> None:
    view = made(learned(720), 720)
    days = [
        sum(clear_hour(h, PLACE) * share(h) * 0.02 for h in range(FIRST + d * 24, FIRST + d * 24 + 24))
        for d in range(30)
    ]
    assert energy_wh(view, view.start, view.start + 86_400) == pytest.approx(sum(days) / 30, rel=0.35)


def test_a_tenth_of_the_hours_lie_below_their_p10() -> None:
    assert learned(90 * 24).below_low.mean == pytest.approx(0.10, abs=0.03)


def test_the_next_day_is_forecast_better_than_as_yesterday() -> None:
    memory = learned(120 * 24)
    assert memory.ours.mean is not None
    assert memory.as_yesterday.mean is not None
    assert memory.ours.mean < 0.95 * memory.as_yesterday.mean


def test_hours_that_a_full_battery_cut_short_teach_nothing() -> None:
    """The forecast does not fall because the full battery did not take the power that the panel could give."""
    memory = learned(480)
    noon = next(h for h in range(FIRST + 480, FIRST + 504) if expected(memory, h) > 0.5 * memory.peak)
    cut = learn(memory, HourSample(noon, 1.2, full=True))
    assert expected(cut, noon) == expected(memory, noon)
    assert expected(learn(memory, HourSample(noon, 1.2)), noon) < expected(memory, noon)


def test_an_hour_that_comes_twice_or_late_changes_nothing() -> None:
    memory = learned(48)
    assert learn(memory, HourSample(FIRST + 40, 99.0)) is memory


def test_the_memory_stays_small_and_survives_a_file() -> None:
    memory = learned(60 * 24)
    data = msgspec.json.encode(memory)
    assert len(data) < 16_000
    assert msgspec.json.decode(data, type=PanelMemory) == memory


@pytest.fixture(scope="module")
def some_memory() -> PanelMemory:
    """Memory of two weeks, with first and last lights, by a morning at which forecasts are open."""
    lights = tuple(Light(day * 86_400.0, day * 86_400.0 + 30_000) for day in range(20_000, 20_004))
    return msgspec.structs.replace(learned(14 * 24 + 8), lights=lights)


def numbers(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each number in a JSON document."""
    if isinstance(node, dict | list):
        for key, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from numbers(each, (*path, key))
    elif isinstance(node, float | int) and not isinstance(node, bool):
        yield path


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_memory_with_one_wrong_number_is_refused_or_harmless(some_memory: PanelMemory, data: st.DataObject) -> None:
    """One changed digit ended the governor at an hour of daylight, again after each start."""
    document = msgspec.json.decode(msgspec.json.encode(some_memory))
    *folder, last = data.draw(st.sampled_from(list(numbers(document))))
    inner = document
    for key in folder:
        inner = inner[key]
    inner[last] = data.draw(st.sampled_from([-1, 0, 3, 9, 91, -181, 1e9, -1e9, 1e200, 1e308, -1e308, 10**18]))
    try:
        memory = msgspec.json.decode(msgspec.json.encode(document), type=PanelMemory)
    except msgspec.ValidationError:
        return
    for hour in range(FIRST + 14 * 24 + 8, FIRST + 14 * 24 + 20):
        memory = learn(memory, HourSample(hour, clear_hour(hour, PLACE) * 0.02))
        outlook(memory, hour * 3600.0)
    place(memory.lights)
    msgspec.json.decode(msgspec.json.encode(memory), type=PanelMemory)


@pytest.mark.parametrize(
    ("field", "value"),
    [("issued", [[1, 9, 1.0, 0.0, 1.0, 1.0, 1.0, 1]]), ("place", {"latitude": 1e308, "longitude": 0.0})],
)
def test_a_memory_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({field: value}), type=PanelMemory)


def test_a_forecast_from_outside_is_scored_beside_ours() -> None:
    memory = PanelMemory(place=PLACE)
    for hour in range(FIRST, FIRST + 20 * 24):
        memory = learn(memory, HourSample(hour, clear_hour(hour, PLACE) * 0.02 * share(hour)), outside_wh=0.0)
    assert memory.outside.mean is not None
    assert memory.ours.mean is not None
    assert memory.outside.mean > memory.ours.mean


@pytest.mark.parametrize(("days", "used"), [(6, False), (7, True)])
def test_a_better_forecast_from_outside_is_used_after_a_week(days: int, used: bool) -> None:
    ours, other = Score(), Score()
    for _ in range(days):
        ours, other = ours.plus(10.0, 0.99), other.plus(5.0, 0.99)
    assert outside.better(PanelMemory(ours=ours, outside=other)) is used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"start": -5, "watts": []}', "start is -5: expected seconds since 1970, 0 to 1e11"),
        ('{"start": 1, "step_s": 0, "watts": []}', "step_s is 0: expected 60 to 86400"),
        ('{"start": 0, "step_s": 5e-324, "watts": [1]}', "step_s is 4.94066e-324: expected 60 to 86400"),
        ('{"start": 0, "step_s": 59.9, "watts": [1]}', "step_s is 59.9: expected 60 to 86400"),
        ('{"start": 0, "watts": []}', "watts covers no whole hour"),
        ('{"start": 0, "step_s": 60, "watts": [1, 1]}', "watts covers no whole hour"),
    ],
)
def test_a_wrong_forecast_from_outside_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        outside.parse(text)
