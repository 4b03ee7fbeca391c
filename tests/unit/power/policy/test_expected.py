"""An expected resume comes true if nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.power import PolicyConfig, PowerConfig, WindowConfig
from edge.model import Reading, Verdict
from edge.power.policy import expected as expect
from edge.power.policy import policy
from edge.power.policy.rules import Level, from_config

WINDOW = WindowConfig(from_="20:00", to="06:00", at_most="low")
RULES = from_config(PowerConfig(policy=PolicyConfig(windows=(WINDOW,), max_rises_per_hour=2)))
STEP_S = 60.0


def charge(percent: float | None) -> Reading:
    return Reading("battery", "charge", percent, "%", verdict=Verdict.OK if percent is not None else Verdict.UNKNOWN)


class Board:
    """One battery, a minute between two samples, and a clock that anyone can read."""

    def __init__(self, minute: int) -> None:
        self.start, self.now, self.state = minute, 0.0, policy.PolicyState()

    def see(self, percent: float | None) -> policy.PolicyState:
        self.now += STEP_S
        minute = int(self.start + self.now / 60) % 1440
        self.state = policy.step(RULES, self.state, [charge(percent)], self.now, minute)
        return self.state

    @property
    def left_s(self) -> float | None:
        return expect.seconds(RULES, self.state)


@given(
    minute=st.integers(0, 1439),
    before=st.lists(st.sampled_from([10.0, 25.0, 38.0, 60.0, 95.0, None]), min_size=4, max_size=60),
    last=st.sampled_from([38.0, 60.0, 95.0, None]),
)
def test_what_is_expected_happens_then(minute: int, before: list[float | None], last: float | None) -> None:
    """Known: the same readings again bring normal power at that time, not a sample later; and not much before."""
    board = Board(minute)
    for percent in before:
        board.see(percent)
    board.see(last)
    left_s = board.left_s
    if board.state.level >= Level.NORMAL:
        assert left_s is None
    if left_s is None:
        return
    began, samples = board.now, RULES.rule("battery", "charge").good_samples  # type: ignore[union-attr]
    while board.see(last).level < Level.NORMAL:
        assert board.now - began <= left_s + samples * STEP_S
    assert board.now - began >= left_s - STEP_S


def test_nobody_knows_when_a_battery_is_charged() -> None:
    """Below the limit to resume at, time alone changes nothing."""
    board = Board(720)
    for _ in range(5):
        board.see(20.0)
    assert board.state.level is Level.LOW
    assert board.left_s is None


@pytest.mark.parametrize(("minute", "hours"), [(20 * 60, 10), (5 * 60, 1)])
def test_a_window_ends_by_the_clock(minute: int, hours: int) -> None:
    """The night ends at six, and the dwell comes on top."""
    board = Board(minute)
    for _ in range(5):
        board.see(60.0)
    assert board.left_s == pytest.approx(hours * 3600 - board.now + 300, abs=STEP_S)
