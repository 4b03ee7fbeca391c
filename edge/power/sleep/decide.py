"""Whether the board is to sleep, until when, or why not. Pure functions: no clock and no file is read here."""

from __future__ import annotations

import msgspec

from edge.config.sleep import SleepConfig
from edge.core.text import duration
from edge.model import PowerState
from edge.power.sleep.costs import Costs

#: A sleep has to save so much more than it costs: what is configured or learned is not exact.
_MARGIN = 1.5
#: Shorter ones are not worth the wear.
SHORTEST_S = 300.0
#: Earliest alarm, in seconds from now: the board needs this time to shut down.
SOONEST_ALARM_S = 60.0
#: States in which it may sleep, by `power.sleep.when`.
STATES: dict[str, tuple[PowerState, ...]] = {
    "never": (),
    "low": (PowerState.LOW,),
    "idle": (PowerState.LOW, PowerState.NORMAL, PowerState.SURPLUS),
}

_ALLOWS = {
    "never": "",
    "low": " sleeps only while it is low",
    "idle": " sleeps only while it is low, normal or surplus",
}


class Wanted(msgspec.Struct, frozen=True):
    """When the board is to be awake again: seconds from now, None where there is no such time or nobody knows."""

    window_s: float | None = None  # the next window of `accept` begins
    fixed_s: float | None = None  # `wake_at`
    due_s: float | None = None  # a job or slot that may run then is due
    power_s: float | None = None  # the hold time of normal power is over
    plan_s: float | None = None  # the forecast says that there is something to run with


class Facts(msgspec.Struct, frozen=True):
    """What is known now."""

    state: PowerState
    awake_s: float  # since the boot
    busy: str = ""  # who works now
    inside: bool = False  # of a window of `accept`; also where there are windows and nobody knows the time
    plan: str | None = None  # what the planner wants: work, idle or sleep; None: there is no forecast
    wanted: Wanted = Wanted()


class Decision(msgspec.Struct, frozen=True):
    """What to do, and why."""

    sleep: bool
    why: str
    alarm_s: float = 0.0  # seconds from now until the alarm rings
    ready_s: float = 0.0  # seconds from now until the board is ready again
    look_s: float | None = None  # seconds after which to decide again; None: when something changes


def decide(config: SleepConfig, costs: Costs, facts: Facts) -> Decision:
    """Decide by power state, times and energy balance only. The gateway may still refuse."""
    if facts.state not in STATES[config.when]:
        return Decision(
            sleep=False, why=f"power is {facts.state}; power.sleep.when = {config.when}{_ALLOWS[config.when]}"
        )
    if facts.plan is not None and facts.plan != "sleep":
        return Decision(sleep=False, why=f"the plan is to {facts.plan}")
    left_s = config.min_awake_s - facts.awake_s
    if left_s > 0:
        # The same words each time: a new reason is a line in the log.
        why = f"awake for less than {duration(config.min_awake_s)} (power.sleep.min_awake_s)"
        return Decision(sleep=False, why=why, look_s=left_s)
    if facts.busy:
        return Decision(sleep=False, why=facts.busy)
    if facts.inside:
        return Decision(sleep=False, why="the LAN expects the board now (power.sleep.accept)", look_s=60.0)
    return _until(config, costs, facts.wanted)


def least_s(costs: Costs) -> float | None:
    """Return the shortest absence, in seconds, that is worth a sleep, or None if a sleep never saves energy."""
    least = costs.least_s
    return None if least is None else max(SHORTEST_S, SOONEST_ALARM_S + costs.boot_s, _MARGIN * least)


def _until(config: SleepConfig, costs: Costs, wanted: Wanted) -> Decision:
    """Sleep until the first time at which the board is wanted, if that is worth while."""
    least = least_s(costs)
    if least is None:
        off, idle = costs.off_watts, costs.idle_watts
        why = f"a sleep saves nothing: off_watts {off:g} is not below idle_watts {idle:g} (power.sleep)"
        return Decision(sleep=False, why=why)
    times = [
        (wanted.window_s, "a window of power.sleep.accept begins"),
        (wanted.due_s, "a job is due"),
        (wanted.plan_s, "the forecast expects enough energy"),
        (wanted.power_s, "power is expected to be normal"),
        (wanted.fixed_s, "power.sleep.wake_at"),
        (config.max_s + costs.boot_s, "power.sleep.max_s is over"),
    ]
    ready_s, why = min(((max(0.0, at), why) for at, why in times if at is not None), key=lambda each: each[0])
    if ready_s < least:
        reason = f"wanted in {duration(ready_s)} ({why}); a sleep must last at least {duration(least)} to save energy"
        return Decision(sleep=False, why=reason, look_s=60.0)
    alarm_s = min(max(SOONEST_ALARM_S, ready_s - costs.boot_s), config.max_s)
    return Decision(sleep=True, why=why, alarm_s=alarm_s, ready_s=alarm_s + costs.boot_s)
