"""Selects what `power.json` has of the plan, and decides if a change of it is worth a write."""

from __future__ import annotations

import msgspec

from edge.model import Action, Plan, PowerState


def shown(plan: Plan | None, code: str, state: PowerState) -> Plan | None:
    """Return the plan to report with this state and the code of its reason.

    At critical power the board goes down with its own alarm, so no time of the plan is reported then. The floor stays,
    because start times are predicted from it.
    """
    if plan is None or state is not PowerState.CRITICAL or code == "sleep":
        return plan
    reason = "power is critical: the plan is not carried out"
    return msgspec.structs.replace(plan, action=Action.IDLE, reason=reason, wake_at=None, wake_reason="")


def notable(plan: Plan | None) -> tuple[object, ...]:
    """Return the parts of a plan whose change is worth a write of `power.json`."""
    return () if plan is None else (plan.action, plan.wake_at, plan.floor_percent is None, plan.reason)
