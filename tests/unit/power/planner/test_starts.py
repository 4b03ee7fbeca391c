"""Start times of waiting jobs: the expected time follows queue and forecast, the interval follows earlier errors."""

from __future__ import annotations

import random

import pytest

from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner.records import Battery, BoardModel
from edge.power.planner.starts import Interval, StartMemory, came_true, expected_start, interval

NOW = 1_796_000_400.0
BOARD = BoardModel()
#: Forecast: night for eight hours, then 10 W.
VIEW = Outlook(NOW, 3600.0, (Step(0, 0, 0),) * 8 + (Step(5, 10, 12),) * 16, days_learned=20)


def start(percent: float, *, ahead_s: float = 0.0, sleeps: bool = True, working: bool = False) -> float | None:
    return expected_start(
        NOW,
        VIEW,
        Battery(percent, 37.0),
        ahead_s=ahead_s,
        board=BOARD,
        floor_percent=13.0,
        resume_percent=16.0,
        working=working,
        sleeps=sleeps,
    )


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
