"""On the simulated board the planner beats fixed thresholds, and no disturbance makes it brown out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.model import Power
from edge.power.forecast.memory import Place
from edge.power.planner.records import SleepWhen
from tests.sun.arrivals import Arrival, Kind, arrivals, mixed
from tests.sun.models import BOARDS, BatteryModel, Panel
from tests.sun.planned import Planned
from tests.sun.rules import NOTHING, FixedThresholds, UntilItDies
from tests.sun.simulation import Outcome, Rule, Simulation, Verdict, View
from tests.sun.weather import Weather, made_up

DAYS = 30
BOARD = BOARDS["pi-3b"]
WEATHER = made_up(48.1, clearness=0.5)


def planned(sleep: SleepWhen = SleepWhen.IDLE, *, capacity_wh: float = 37.0) -> Planned:
    return Planned(capacity_wh=capacity_wh, board=BOARD, sleep=sleep, where=Place(48.1, 0.0, given=True))


def ran(
    rule: Rule,
    change: Callable[[list[float]], None] = lambda _: None,
    battery_wh: float = 37.0,
    kinds: tuple[Kind, ...] = (Kind(),),
) -> Outcome:
    """Simulate a month from the first of January, with a panel that is too small."""
    sun = Panel(20.0).series(WEATHER)
    change(sun)
    jobs = arrivals(kinds, 1, days=DAYS)
    battery = BatteryModel(battery_wh)
    return Simulation(WEATHER, sun, jobs, battery=battery, board=BOARD, minutes=DAYS * 1440).run(rule)


def test_the_planner_does_more_than_fixed_thresholds_and_never_browns_out() -> None:
    fixed, awake, asleep = ran(FixedThresholds()), ran(planned(SleepWhen.NEVER)), ran(planned())
    assert fixed.in_time < awake.in_time < asleep.in_time
    assert (fixed.brown_outs, awake.brown_outs, asleep.brown_outs) == (0, 0, 0)
    assert asleep.critical_h < fixed.critical_h


def test_jobs_that_wait_for_a_surplus_do_not_keep_the_board_awake() -> None:
    """While only such jobs wait, the board sleeps and does more of them than a board that idles."""
    kinds = (Kind("late", 20.0, 10.0, Power.SURPLUS, 72.0),)
    awake, asleep = ran(planned(SleepWhen.NEVER), kinds=kinds), ran(planned(), kinds=kinds)
    assert asleep.in_time > awake.in_time + 300
    assert asleep.off_h > awake.off_h + 100


def test_a_board_that_runs_until_it_dies_browns_out() -> None:
    assert ran(UntilItDies()).brown_outs > 5


def test_the_same_seeds_give_the_same_month() -> None:
    assert ran(planned()) == ran(planned())


def covered(sun: list[float]) -> None:
    """Cover the panel with snow from the tenth to the twentieth day."""
    sun[10 * 1440 : 20 * 1440] = [0.0] * (10 * 1440)


class WrongClock(Planned):
    """A planner whose clock jumps by half a day, forth and back, every third day."""

    def clock(self, view: View) -> float | None:
        return view.at + (43_200.0 if view.minute // 1440 % 6 >= 3 else 0.0)


class NoClock(Planned):
    """A planner that does not know the time from the twelfth day on, so that it has no forecast."""

    def clock(self, view: View) -> float | None:
        return view.at if view.minute < 12 * 1440 else None


@pytest.mark.parametrize("sleep", [SleepWhen.NEVER, SleepWhen.IDLE])
def test_a_covered_panel_costs_jobs_and_never_a_brown_out(sleep: SleepWhen) -> None:
    assert ran(planned(sleep), covered).brown_outs == 0


@pytest.mark.parametrize("kind", [WrongClock, NoClock])
def test_a_clock_that_jumps_and_a_dead_forecast_cost_jobs_and_never_a_brown_out(kind: type[Planned]) -> None:
    made = kind(capacity_wh=37.0, board=BOARD, sleep=SleepWhen.IDLE, where=Place(48.1, 0.0, given=True))
    assert ran(made).brown_outs == 0


@pytest.mark.parametrize("real_wh", [15.0, 80.0])
def test_a_changed_battery_costs_jobs_and_never_a_brown_out(real_wh: float) -> None:
    """A real battery that differs from the configured 37 Wh causes no brown-out."""
    assert ran(planned(), battery_wh=real_wh).brown_outs == 0


def test_a_place_that_has_to_be_learned_costs_little() -> None:
    """Without configured coordinates the board does over 80 % of the jobs, even in a dark month."""
    learned = Planned(capacity_wh=37.0, board=BOARD, sleep=SleepWhen.IDLE)
    assert ran(learned).in_time > 0.8 * ran(planned()).in_time


def test_a_job_whose_result_is_late_waits_no_longer_behind_one_that_still_counts() -> None:
    """Such a job would keep the planner awake, and count for the start times of others, but never run."""
    seen = list[list[str]]()

    class Watcher(UntilItDies):
        def decide(self, view: View) -> Verdict:
            seen.append([job.kind.name for job in view.waiting])
            return NOTHING

    kept, late = Kind("kept", worth_h=24.0), Kind("late", worth_h=1.0)
    jobs = [Arrival(0, kept, 10.0, 1440.0), Arrival(0, late, 10.0, 60.0)]
    Simulation(WEATHER, Panel(20.0).series(WEATHER), jobs, battery=BatteryModel(), board=BOARD, minutes=120).run(
        Watcher()
    )
    assert seen[10] == ["kept", "late"]
    assert seen[-1] == ["kept"]


def test_mixes_ask_for_about_the_same_work() -> None:
    assert sum(each.per_day * each.minutes for each in mixed(3)) == pytest.approx(480.0)


def test_another_year_of_a_place_has_the_same_days() -> None:
    other: Weather = WEATHER.shuffled(2)
    assert other.hours != WEATHER.hours
    assert sorted(hour.ghi for hour in other.hours) == sorted(hour.ghi for hour in WEATHER.hours)
