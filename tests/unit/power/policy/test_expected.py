"""Tests of the expected return of normal power: it comes at that time if nothing else changes."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.power import PolicyConfig, PowerConfig, WindowConfig
from edge.model import Reading, Verdict
from edge.power.governor.local_time import LocalTime
from edge.power.policy import expected as expect
from edge.power.policy import policy
from edge.power.policy.rules import Level, Rules, from_config

WINDOW = WindowConfig(from_="20:00", to="06:00", at_most="low")
RULES = from_config(PowerConfig(policy=PolicyConfig(windows=(WINDOW,), max_rises_per_hour=2)))
STEP_S = 60.0


def charge(percent: float | None) -> Reading:
    return Reading("battery", "charge", percent, "%", verdict=Verdict.OK if percent is not None else Verdict.UNKNOWN)


class Board:
    """A board with one battery, a sample each minute, and a local clock.

    At `change` minutes after the start the clock jumps ahead by `shift` minutes, as when summer time begins.
    """

    def __init__(self, minute: int, *, rules: Rules = RULES, change: int = 10**9, shift: int = 0) -> None:
        self.start, self.now, self.state, self.rules = minute, 0.0, policy.PolicyState(), rules
        self.change, self.shift = change, shift

    def minute_at(self, later_s: float) -> float:
        passed = (self.now + later_s) / 60
        return (self.start + passed + (self.shift if passed >= self.change else 0)) % 1440

    def see(self, percent: float | None) -> policy.PolicyState:
        self.now += STEP_S
        self.state = policy.step(self.rules, self.state, [charge(percent)], self.now, int(self.minute_at(0.0)))
        return self.state

    @property
    def left_s(self) -> float | None:
        return expect.seconds(self.rules, self.state, self.minute_at)


@given(
    minute=st.integers(0, 1439),
    before=st.lists(st.sampled_from([10.0, 25.0, 38.0, 60.0, 95.0, None]), min_size=4, max_size=60),
    last=st.sampled_from([38.0, 60.0, 95.0, None]),
)
def test_what_is_expected_happens_then(minute: int, before: list[float | None], last: float | None) -> None:
    """If the time is known, the same readings bring normal power at that time: within a few samples, and not before."""
    board = Board(minute)
    for percent in before:
        board.see(percent)
    board.see(last)
    left_s = board.left_s
    if board.state.level >= Level.NORMAL:
        assert left_s is None
    if left_s is None:
        return
    it_comes_true(board, left_s, last)


def it_comes_true(board: Board, left_s: float, last: float | None) -> None:
    """Assert that the same readings bring normal power in `left_s`: within a few samples, and not before."""
    began, samples = board.now, board.rules.rule("battery", "charge").good_samples  # type: ignore[union-attr]
    while board.see(last).level < Level.NORMAL:
        assert board.now - began <= left_s + samples * STEP_S
    assert board.now - began >= left_s - STEP_S


times = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@settings(deadline=None, max_examples=200)
@given(
    minute=st.integers(0, 1439),
    before=st.lists(st.sampled_from([25.0, 60.0]), min_size=4, max_size=12),
    windows=st.lists(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=2),
    resume_after_s=st.sampled_from([0.0, 60.0, 300.0, 7200.0]),
    quarters=st.integers(1, 100),
    shift=st.sampled_from([-60, 0, 30, 60]),
)
def test_what_is_expected_happens_over_windows_and_changes_of_the_clock(
    minute: int, before: list[float], windows: list[tuple[str, str]], resume_after_s: float, quarters: int, shift: int
) -> None:
    """It holds for any windows, any dwell, and a clock that jumps by up to an hour in either direction."""
    limits = tuple(WindowConfig(from_=first, to=end, at_most="low") for first, end in windows)
    rules = from_config(PowerConfig(policy=PolicyConfig(windows=limits, resume_after_s=resume_after_s)))
    change = quarters * 15 - minute % 15
    board = Board(minute, rules=rules, change=change, shift=shift)
    for percent in (*before, 60.0):
        board.see(percent)
    if (left_s := board.left_s) is not None:
        it_comes_true(board, left_s, 60.0)


def test_without_a_dwell_the_end_of_a_window_is_when_power_comes() -> None:
    """With `resume_after_s: 0` and a window, the time is known as well."""
    rules = from_config(PowerConfig(policy=PolicyConfig(windows=(WINDOW,), resume_after_s=0.0)))
    board = Board(5 * 60, rules=rules)
    for _ in range(5):
        board.see(60.0)
    assert board.left_s == pytest.approx(3600 - board.now, abs=1.0)


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("2027-03-28 01:00 +0100", "2027-03-28 06:05 +0200"),
        ("2027-10-31 01:00 +0200", "2027-10-31 06:05 +0100"),
        ("2027-10-31 02:30 +0200", "2027-10-31 06:05 +0100"),
        ("2027-10-31 02:30 +0100", "2027-10-31 06:05 +0100"),
        ("2027-06-01 01:00 +0200", "2027-06-01 06:05 +0200"),
        ("2027-03-27 23:00 +0100", "2027-03-28 06:05 +0200"),
    ],
)
def test_a_window_ends_by_the_clock_on_days_of_a_clock_change(
    monkeypatch: pytest.MonkeyPatch, asked: str, expected: str
) -> None:
    """In Berlin, a window from 22:00 to 06:00 has seven or nine hours in the night of the change."""
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    try:
        wall = datetime.strptime(asked, "%Y-%m-%d %H:%M %z").timestamp()
        window = WindowConfig(from_="22:00", to="06:00", at_most="low")
        rules = from_config(PowerConfig(policy=PolicyConfig(windows=(window,))))
        state = policy.PolicyState()
        for number in range(4):
            now = number * 0.1
            state = policy.step(rules, state, [charge(60.0)], now, int(LocalTime.minute(wall)))
        left_s = expect.seconds(rules, state, lambda later_s: LocalTime.minute(wall + later_s))
        assert left_s is not None
        wanted = datetime.strptime(expected, "%Y-%m-%d %H:%M %z").timestamp()
        assert wall + left_s == pytest.approx(wanted, abs=1.0)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_time_is_unknown_while_the_battery_is_low() -> None:
    """Below the resume threshold, time alone changes nothing."""
    board = Board(720)
    for _ in range(5):
        board.see(20.0)
    assert board.state.level is Level.LOW
    assert board.left_s is None


@pytest.mark.parametrize(("minute", "hours"), [(20 * 60, 10), (5 * 60, 1)])
def test_a_window_ends_by_the_clock(minute: int, hours: int) -> None:
    """The window ends at 6:00, and its dwell follows."""
    board = Board(minute)
    for _ in range(5):
        board.see(60.0)
    assert board.left_s == pytest.approx(hours * 3600 - board.now + 300, abs=STEP_S)
