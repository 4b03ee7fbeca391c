"""Start times of waiting jobs: the expected time follows queue and forecast, the interval follows earlier errors."""

from __future__ import annotations

import random

import pytest

from edge.model import Power
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner.records import Battery, BoardModel
from edge.power.planner.starts import (
    CLASSES,
    Interval,
    Miss,
    StartMemory,
    Surplus,
    came_true,
    expected_starts,
    interval,
    limits,
    restored,
)

NOW = 1_796_000_400.0
BOARD = BoardModel()
#: Forecast: night for eight hours, then 10 W.
VIEW = Outlook(NOW, 3600.0, (Step(0, 0, 0),) * 8 + (Step(5, 10, 12),) * 16, days_learned=20)


def starts(
    percent: float,
    *ahead_s: float,
    sleeps: bool = True,
    working: bool = False,
    bodies: int = 1,
    surplus: Surplus | None = None,
) -> list[float | None]:
    return expected_starts(
        NOW,
        VIEW,
        Battery(percent, 37.0),
        ahead_s=ahead_s,
        board=BOARD,
        floor_percent=13.0,
        resume_percent=16.0,
        working=working,
        sleeps=sleeps,
        bodies=bodies,
        surplus=surplus,
    )


def start(percent: float, *, ahead_s: float = 0.0, sleeps: bool = True, working: bool = False) -> float | None:
    return starts(percent, ahead_s, sleeps=sleeps, working=working)[0]


def test_with_power_a_job_starts_when_those_before_it_have_ended() -> None:
    assert start(80.0, working=True) == NOW
    assert start(80.0, ahead_s=1800.0, working=True) == pytest.approx(NOW + 1800)


def test_without_power_it_starts_after_sunrise() -> None:
    at = start(13.0)
    assert at is not None
    assert NOW + 8 * 3600 <= at <= NOW + 9 * 3600


def test_a_board_that_cannot_sleep_starts_later() -> None:
    asleep, awake = start(14.0), start(14.0, sleeps=False)
    assert asleep is not None
    assert awake is not None
    assert awake > asleep


def test_a_start_beyond_the_forecast_is_not_estimated() -> None:
    assert start(14.0, ahead_s=1e6) is None


def test_the_jobs_of_a_batch_start_one_after_the_other() -> None:
    """One pass gives the same times as one for each job, and None for those after the end of the forecast."""
    found = starts(80.0, 0.0, 1800.0, 3600.0, 1e6, working=True)
    assert found == [start(80.0, ahead_s=ahead, working=True) for ahead in (0.0, 1800.0, 3600.0, 1e6)]
    assert found[-1] is None


def test_two_workers_start_the_jobs_of_a_batch_twice_as_fast() -> None:
    assert starts(80.0, 0.0, 3600.0, working=True, bodies=2)[1] == pytest.approx(NOW + 1800)


def test_a_surplus_job_waits_until_the_sun_has_filled_the_battery() -> None:
    """From 50 %, 10 W give the missing 14.8 Wh and the draw of the night in about an hour and a half of sun."""
    (at,) = starts(50.0, 0.0, working=True, surplus=Surplus(90.0, rich=False))
    assert at is not None
    assert 9 * 3600 <= at - NOW <= 10 * 3600
    assert starts(95.0, 0.0, working=True, surplus=Surplus(90.0, rich=True)) == [NOW]


def test_work_of_other_classes_runs_before_a_surplus_job() -> None:
    (at,) = starts(95.0, 0.0, working=True, surplus=Surplus(90.0, rich=True, others_s=600.0))
    assert at == pytest.approx(NOW + 600)


def test_a_surplus_job_starts_with_normal_power_from_its_deadline_on() -> None:
    waiting = Surplus(90.0, rich=False, normal_from=NOW + 3600)
    assert starts(50.0, 0.0, working=True, surplus=waiting) == [NOW + 3600]


def test_jobs_of_class_always_run_down_to_the_critical_charge() -> None:
    assert limits(Power.ALWAYS, floor=14.0, gap=3.0, critical=10.0) == (10.0, 11.0)
    assert limits(Power.NORMAL, floor=14.0, gap=3.0, critical=10.0) == (14.0, 17.0)


def test_a_file_of_an_earlier_version_keeps_what_it_learned() -> None:
    """It has the errors of class `normal` only; a file that fits no version is left out."""
    old = StartMemory((Miss(-0.1, 0.2),) * len(CLASSES), 8.0, 10.0)
    memory = restored(old)
    assert memory.misses[: len(CLASSES)] == old.misses
    assert (len(memory.misses), memory.hit_rate) == (3 * len(CLASSES), 0.8)
    assert restored(StartMemory((Miss(),) * 5)) == StartMemory()


def test_the_errors_of_each_power_class_are_learned_separately() -> None:
    memory = StartMemory()
    for _ in range(50):
        memory = came_true(memory, interval(memory, NOW, NOW + 7200, Power.SURPLUS), NOW + 14_400)
    assert interval(memory, NOW, NOW + 7200) == interval(StartMemory(), NOW, NOW + 7200)
    assert interval(memory, NOW, NOW + 7200, Power.SURPLUS).late > NOW + 14_000


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_four_of_five_intervals_hold_however_wide_the_truth_is(spread: float) -> None:
    rng, memory, held = random.Random(1), StartMemory(), 0
    for _ in range(4000):
        likely = NOW + rng.choice((3600.0, 20_000.0))
        issued = interval(memory, NOW, likely)
        at = NOW + (likely - NOW) * rng.lognormvariate(0.1, spread)
        held += issued.early <= at <= issued.late
        memory = came_true(memory, issued, at)
    assert held / 4000 == pytest.approx(0.8, abs=0.03)
    assert memory.hit_rate == pytest.approx(0.8, abs=0.04)


def test_an_interval_is_in_order_and_not_in_the_past() -> None:
    issued: Interval = interval(StartMemory(), NOW, NOW + 900)
    assert NOW <= issued.early <= issued.likely <= issued.late
