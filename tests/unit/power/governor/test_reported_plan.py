"""What is reported of the plan."""

from __future__ import annotations

import pytest

from edge.model import Action, Plan, PowerState
from edge.power.governor.reported_plan import notable, shown


@pytest.mark.parametrize(
    ("state", "code", "carried_out"),
    [
        (PowerState.LOW, "charge-low", True),
        (PowerState.CRITICAL, "sleep", True),
        (PowerState.CRITICAL, "charge-critical", False),
        (PowerState.CRITICAL, "shutdown", False),
    ],
)
def test_at_critical_power_no_time_of_the_plan_is_reported(state: PowerState, code: str, *, carried_out: bool) -> None:
    """The board goes down with the alarm of `power.critical`, not with the one of the plan."""
    plan = Plan(Action.SLEEP, "9 % is not above the floor", 2e9, 13.0, 1.9e9, wake_reason="there is energy")
    reported = shown(plan, code, state)
    assert reported is not None
    if carried_out:
        assert reported is plan
    else:
        assert (reported.action, reported.wake_at, reported.floor_percent) == (Action.IDLE, None, 13.0)


def test_a_new_reason_is_worth_a_write() -> None:
    """The plan line would else be stale until the next heartbeat."""
    plan = Plan(Action.IDLE, "no job waits", 2e9, 13.0, budget_wh=4.0)
    assert notable(plan) == notable(Plan(Action.IDLE, "no job waits", 2e9 + 900, 12.0, budget_wh=3.0))
    assert notable(plan) != notable(Plan(Action.IDLE, "only jobs for surplus power wait", 2e9, 13.0, budget_wh=4.0))
    assert notable(None) == ()
