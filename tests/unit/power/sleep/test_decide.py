"""Rules on when the board sleeps, and until when. They hold for any facts."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.sleep import AcceptConfig, SleepConfig
from edge.model import PowerState
from edge.power.sleep import moments
from edge.power.sleep.costs import Costs
from edge.power.sleep.decide import SOONEST_ALARM_S, Facts, Wanted, decide, least_s, too_short

_TIMES = st.none() | st.floats(-1e9, 1e9)
_WANTED = st.builds(Wanted, window_s=_TIMES, fixed_s=_TIMES, due_s=_TIMES, power_s=_TIMES, plan_s=_TIMES)
_FACTS = st.builds(
    Facts,
    state=st.sampled_from(PowerState),
    awake_s=st.floats(0, 1e8),
    busy=st.sampled_from(["", "worker main runs a job"]),
    inside=st.booleans(),
    plan=st.sampled_from([None, "work", "idle", "sleep"]),
    wanted=_WANTED,
)
_CONFIG = st.builds(
    SleepConfig, when=st.sampled_from(["never", "low", "idle"]), max_s=st.floats(600, 86_400),
    min_awake_s=st.floats(60, 86_400),
)  # fmt: skip
_COSTS = st.builds(
    Costs,
    boot_s=st.floats(1, 3600),
    boot_watts=st.floats(0, 20),
    off_watts=st.floats(0, 5),
    idle_watts=st.floats(0, 20),
)
QUIET = Facts(PowerState.LOW, awake_s=3600.0)


@given(_CONFIG, _COSTS, _FACTS)
def test_it_sleeps_only_when_nothing_speaks_against_it(config: SleepConfig, costs: Costs, facts: Facts) -> None:
    """It never sleeps while a body runs, in a window of `accept`, against the plan, or just after a boot."""
    found = decide(config, costs, facts)
    if found.sleep:
        assert config.when != "never"
        assert facts.state in {PowerState.LOW, PowerState.NORMAL, PowerState.SURPLUS}
        assert facts.state is PowerState.LOW or config.when == "idle"
        assert not facts.busy
        assert not facts.inside
        assert facts.plan in {None, "sleep"}
        assert facts.awake_s >= config.min_awake_s
    else:
        assert found.why


@given(_CONFIG, _COSTS, _FACTS)
def test_the_alarm_is_neither_past_nor_beyond_its_bound(config: SleepConfig, costs: Costs, facts: Facts) -> None:
    """The alarm is between a minute and `max_s` from now, and the board is ready before each time that needs it."""
    found = decide(config, costs, facts)
    if found.sleep:
        assert SOONEST_ALARM_S <= found.alarm_s <= config.max_s
        for at in (facts.wanted.window_s, facts.wanted.due_s, facts.wanted.plan_s, facts.wanted.fixed_s):
            assert at is None or found.ready_s <= at + 0.001


@given(_CONFIG, _COSTS, _FACTS)
def test_it_never_costs_more_than_it_saves(config: SleepConfig, costs: Costs, facts: Facts) -> None:
    """The energy saved during a sleep is more than the energy of the boot."""
    found = decide(config, costs, facts)
    if found.sleep:
        assert costs.saved_j(found.ready_s) > 0


def test_the_usual_board_sleeps_from_five_minutes_on() -> None:
    """A boot of 90 s at 3 W, and 1.2 W at rest, give a shortest sleep of about 346 s."""
    assert least_s(Costs()) == pytest.approx(346.3, abs=0.1)
    assert not decide(SleepConfig(when="low"), Costs(), _with(Wanted(due_s=340.0))).sleep
    found = decide(SleepConfig(when="low"), Costs(), _with(Wanted(due_s=7200.0, window_s=8000.0)))
    assert (found.sleep, found.alarm_s, found.why) == (True, 7110.0, "a job is due")


def test_without_any_other_time_it_looks_again() -> None:
    """If no job is due, the sleep ends after `max_s`."""
    assert decide(SleepConfig(when="low", max_s=3600), Costs(), QUIET).alarm_s == 3600.0


def test_a_board_that_draws_as_much_when_off_stays_on() -> None:
    found = decide(SleepConfig(when="low"), Costs(off_watts=1.5), QUIET)
    assert "off_watts" in found.why


def _with(wanted: Wanted) -> Facts:
    return Facts(PowerState.LOW, awake_s=3600.0, wanted=wanted)


_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])


@given(_ZONES, st.integers(1_735_689_600, 1_900_000_000), st.integers(0, 1439))
def test_a_time_of_day_is_ahead_over_changes_of_the_clock(zone: str, now: int, minute: int) -> None:
    """The time is 0 to 25 hours ahead, and the clock then shows it, unless that time of day is skipped."""

    def minute_at(later_s: float) -> float:
        local = _local(now + later_s, zone)
        return local[0] * 60 + local[1] + local[2] / 60

    left_s = moments.until(minute_at, minute)
    assert 0 <= left_s <= 25 * 3600
    off = (minute_at(left_s) - minute + 720) % 1440 - 720
    assert abs(off) < 1 or abs(abs(off) - 60) < 1 or abs(abs(off) - 30) < 1


def _local(at: float, zone: str) -> tuple[int, int, int]:
    from datetime import UTC, datetime

    local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
    return local.hour, local.minute, local.second


def test_windows_go_over_midnight() -> None:
    windows = (AcceptConfig(from_="22:00", to="02:00"), AcceptConfig(from_="08:00", to="09:00"))
    assert [moments.inside(windows, minute) for minute in (0, 119, 120, 480, 540, 1319, 1320)] == [
        True, True, False, True, False, False, True,
    ]  # fmt: skip
    assert moments.next_window(windows, lambda later_s: 600 + later_s / 60) == 12 * 3600
    assert moments.next_window((), float) is None


def test_the_least_max_s_that_is_named_is_enough() -> None:
    costs = Costs(boot_s=600.0)
    why = too_short(SleepConfig(when="low", max_s=600.0), costs)
    least_max_s = int(why.rsplit(" ", 1)[1])
    assert "no sleep saves energy" in why
    assert decide(SleepConfig(when="low", max_s=float(least_max_s)), costs, QUIET).sleep
    assert not decide(SleepConfig(when="low", max_s=least_max_s - 1.0), costs, QUIET).sleep
    assert not too_short(SleepConfig(when="low", max_s=float(least_max_s)), costs)
