"""Replays of recorded days with another battery or panel."""

from __future__ import annotations

from edge.power.forecast.learn import HourSample, learn
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.predict import clear_hour
from edge.power.planner.records import BoardModel, PlanSettings, SleepWhen
from edge.power.planner.whatif import SLOT_S, Ran, Slot, run

PLACE = Place(48.1, 11.6, given=True)
FIRST = 1_795_910_400 // 3600  # a midnight in November 2026
SETTINGS = PlanSettings(sleep=SleepWhen.IDLE, can_wake=True)


def memory() -> PanelMemory:
    found = PanelMemory(place=PLACE)
    for hour in range(FIRST - 20 * 24, FIRST):
        found = learn(found, HourSample(hour, clear_hour(hour, PLACE) * 0.02))
    return found


def week() -> list[Slot]:
    """Return a week of sunny days with jobs at a steady rate, and 40 jobs at once each evening."""
    slots = []
    for number in range(7 * 96):
        at = FIRST * 3600.0 + number * SLOT_S
        watts = clear_hour(int(at // 3600), PLACE) * 0.02
        slots.append(Slot(at, watts, 60.0 if not number else None, 40 if number % 96 == 72 else 1))
    return slots


def ran(battery_wh: float = 15.0, panel: float = 1.0) -> Ran:
    return run(
        week(),
        battery_wh=battery_wh,
        board=BoardModel(),
        settings=SETTINGS,
        memory=memory(),
        job_s=600.0,
        panel=panel,
    )


def test_a_larger_battery_and_a_larger_panel_run_more_jobs() -> None:
    base = ran()
    assert 0 < base.jobs < sum(slot.arrived for slot in week())
    assert ran(battery_wh=18.0).jobs > base.jobs
    assert ran(panel=1.5).jobs > base.jobs


def test_the_same_days_give_the_same() -> None:
    assert ran() == ran()
