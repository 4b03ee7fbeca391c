"""The planner's promises, which hold for any battery, forecast and jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.model import Action, Plan, Power
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner.plan import plan
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen

NOW = 1_800_000_000.0
watts = st.floats(0, 40)
steps = st.tuples(watts, watts, watts).map(lambda three: Step(*sorted(three)))
outlooks = st.one_of(
    st.none(),
    st.builds(
        Outlook,
        start=st.floats(NOW - 90_000, NOW + 90_000),
        step_s=st.just(3600.0),
        steps=st.lists(steps, max_size=72).map(tuple),
        days_learned=st.integers(0, 30),
    ),
)
batteries = st.one_of(st.none(), st.builds(Battery, percent=st.floats(0, 100), capacity_wh=st.floats(0.1, 1000)))
works = st.lists(
    st.builds(
        OpenWork,
        power=st.sampled_from(Power),
    ),
    max_size=6,
)
boards = st.builds(BoardModel, idle_w=st.floats(0.1, 10), busy_w=st.floats(0.1, 20), off_w=st.floats(0, 1))
settings = st.builds(
    PlanSettings,
    sleep=st.sampled_from(SleepWhen),
    can_wake=st.booleans(),
)


@given(
    now=st.one_of(st.none(), st.just(NOW)),
    battery=batteries,
    outlook=outlooks,
    jobs=works,
    board=boards,
    rules=settings,
)
def test_a_plan_keeps_its_rules(
    now: float | None,
    battery: Battery | None,
    outlook: Outlook | None,
    jobs: list[OpenWork],
    board: BoardModel,
    rules: PlanSettings,
) -> None:
    """A board sleeps only if it can wake, with an alarm in the future, and if no job of class `always` is open."""
    made = plan(now, battery, outlook, jobs, board=board, settings=rules)
    assert (made.action is Action.SLEEP) == (made.wake_at is not None)
    assert made.reason
    if made.floor_percent is not None:
        assert rules.hard_floor_percent <= made.floor_percent <= rules.pause_percent
    if made.wake_at is not None:
        assert now is not None
        assert made.wake_at >= now + 60
        assert rules.can_wake
        assert rules.sleep is not SleepWhen.NEVER
        assert not any(job.power is Power.ALWAYS for job in jobs)


def test_without_a_trusted_clock_the_fixed_thresholds_decide() -> None:
    """Such a plan has no floor and no sleep."""
    made = plan(None, Battery(50, 37), None, [OpenWork()], board=BoardModel(), settings=PlanSettings(), wall=5.0)
    assert (made.action, made.floor_percent, made.until) == (Action.WORK, None, 905.0)


def night(hours: int) -> Outlook:
    """Return a forecast of `hours` without sun, and bright hours after them."""
    dark, bright = (Step(0.0, 0.0, 0.0),), (Step(12.0, 12.0, 12.0),)
    return Outlook(NOW, 3600.0, dark * hours + bright * (72 - hours), days_learned=30)


def rested(percent: float, outlook: Outlook, *jobs: Power, when: SleepWhen = SleepWhen.IDLE) -> Plan:
    """Return the plan of a board that can sleep, for these waiting jobs."""
    rules = PlanSettings(sleep=when, can_wake=True)
    open_jobs = [OpenWork(power) for power in jobs]
    return plan(NOW, Battery(percent, 37.0), outlook, open_jobs, board=BoardModel(), settings=rules, working=True)


def test_a_board_with_jobs_for_surplus_power_only_sleeps_as_without_jobs() -> None:
    """Power is good, but the waiting jobs may not use it: idling would only empty the battery."""
    waiting = rested(70.0, night(10), Power.SURPLUS)
    assert (waiting.action, waiting.wake_at) == (Action.SLEEP, NOW + PlanSettings().nap_s)
    assert waiting.reason == "only jobs for surplus power wait, from 90 % on: sleeps for 90 min"
    assert rested(70.0, night(10)).wake_at == waiting.wake_at


def test_a_board_wakes_when_the_surplus_for_its_jobs_is_there() -> None:
    """From 78 % on, 12 W give the missing 4.4 Wh within 23 minutes after 30 minutes without sun."""
    outlook = Outlook(NOW, 1800.0, (Step(0.0, 0.0, 0.0), *(Step(0.0, 12.0, 12.0),) * 100), days_learned=30)
    wake_at = rested(78.0, outlook, Power.SURPLUS).wake_at
    assert wake_at is not None
    assert 52 * 60 < wake_at - NOW < 53 * 60


def test_a_board_that_sleeps_only_while_power_is_low_stays_up_for_surplus_jobs() -> None:
    assert rested(70.0, night(10), Power.SURPLUS, when=SleepWhen.LOW).action is Action.IDLE


def test_a_job_that_may_run_keeps_a_board_awake_whatever_else_waits() -> None:
    assert rested(70.0, night(10), Power.SURPLUS, Power.NORMAL).action is Action.WORK
