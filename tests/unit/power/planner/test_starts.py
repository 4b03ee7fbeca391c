"""Start times of waiting jobs: the expected time follows queue and forecast, the interval follows earlier errors."""

from __future__ import annotations

import random

import pytest

from edge.model import Power
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner.plan import plan
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen
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
    soonest,
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


def test_a_board_that_sleeps_is_woken_when_there_is_energy_for_boot_and_batch() -> None:
    """The plan wakes the board then, so no job starts earlier."""
    rules = PlanSettings(sleep=SleepWhen.LOW, can_wake=True, critical_percent=10.0)
    for percent in (12.0, 13.0):
        at = start(percent)
        made = plan(NOW + 6 * 3600, Battery(percent, 37.0), VIEW, [OpenWork()], board=BOARD, settings=rules)
        assert made.wake_at is not None
        assert at is not None
        assert at >= made.wake_at
        assert at == pytest.approx(made.wake_at + BOARD.boot_s, abs=900)


def test_after_its_longest_sleep_a_board_works_with_what_there_is() -> None:
    """At 2 W it takes an hour to reach the resume threshold, and an hour more for a batch of work."""
    weak = Outlook(NOW, 3600.0, (Step(2, 2, 2),) * 24, days_learned=20)
    found = [
        expected_starts(
            NOW,
            weak,
            Battery(12.0, 37.0),
            ahead_s=[0.0],
            board=BOARD,
            floor_percent=13.0,
            resume_percent=16.0,
            working=False,
            sleeps=True,
            longest_sleep_s=longest_s,
        )[0]
        for longest_s in (6 * 3600.0, 3300.0)
    ]
    assert found == [pytest.approx(NOW + 5400, abs=700), pytest.approx(NOW + 3300, abs=700)]


def test_no_job_starts_from_an_empty_battery_before_there_is_sun() -> None:
    """The interval was learned from nights of all lengths, but this night is known to last eight hours."""
    first = soonest(NOW, VIEW, Battery(13.0, 37.0), board=BOARD, resume_percent=16.0, sleeps=True, working=False)
    assert first == NOW + 8 * 3600
    issued = interval(StartMemory(), NOW, NOW + 9 * 3600, first=first)
    assert first == issued.early <= issued.likely <= issued.late
    for percent, working in ((17.0, False), (14.0, True)):
        battery = Battery(percent, 37.0)
        assert soonest(NOW, VIEW, battery, board=BOARD, resume_percent=16.0, sleeps=True, working=working) == NOW


def test_a_delayed_job_starts_after_its_delay() -> None:
    found = expected_starts(
        NOW,
        VIEW,
        Battery(80.0, 37.0),
        ahead_s=[1800.0],
        board=BOARD,
        floor_percent=13.0,
        resume_percent=16.0,
        working=True,
        sleeps=True,
        not_before=NOW + 5000,
    )
    assert found == [pytest.approx(NOW + 5000)]


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


@pytest.mark.parametrize(
    "memory",
    [
        StartMemory((*StartMemory().misses[1:], Miss(800.0, 800.0))),
        StartMemory((*StartMemory().misses[1:], Miss(-0.7, 3.1))),
        StartMemory(held=-1.0, count=5.0),
        StartMemory(held=8.0, count=5.0),
        StartMemory(held=1.0, count=1e300),
    ],
)
def test_a_damaged_file_is_left_out(memory: StartMemory) -> None:
    """Such numbers come from no start, and an interval from them may overflow."""
    assert restored(memory) == StartMemory()


def test_what_was_learned_from_any_starts_is_kept() -> None:
    rng, memory = random.Random(2), StartMemory()
    for _ in range(10_000):
        memory = came_true(memory, interval(memory, NOW, NOW + 7200), NOW + rng.choice((10.0, 1e7)))
        assert restored(memory) == memory


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
