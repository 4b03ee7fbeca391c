"""The moment at which a body that may not continue is held."""

from __future__ import annotations

import pytest

from edge.worker.power import patience
from edge.worker.power.patience import PATIENCE_S, Patience


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the current time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that `patience` reads."""
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def test_a_body_without_checkpoints_is_held_at_once(clock: Clock) -> None:
    """No better moment comes later."""
    assert Patience().ends(wanted=True, patient=False)
    assert clock.now == 100.0


def test_a_body_with_checkpoints_is_held_at_the_next_one(clock: Clock) -> None:
    """Its calls without a checkpoint return for `PATIENCE_S`; a checkpoint holds it."""
    waits = Patience()
    assert not waits.ends(wanted=True, patient=True)
    clock.now += PATIENCE_S - 0.1
    assert not waits.ends(wanted=True, patient=True)
    assert waits.ends(wanted=True, patient=False)
    clock.now += 0.1
    assert waits.ends(wanted=True, patient=True)


def test_power_that_came_back_begins_the_patience_anew(clock: Clock) -> None:
    """The time counts from the last moment at which power stopped allowing the body."""
    waits = Patience()
    assert not waits.ends(wanted=True, patient=True)
    clock.now += PATIENCE_S
    assert not waits.ends(wanted=False, patient=True)
    assert not waits.ends(wanted=True, patient=True)
    waits.reset()
    clock.now += PATIENCE_S
    assert not waits.ends(wanted=True, patient=True)
