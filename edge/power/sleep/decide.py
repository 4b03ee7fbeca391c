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
#: The alarm of a clock that is set in whole seconds, with time for going down.
SOONEST_ALARM_S = 60.0
#: States in which it may sleep, by `power.sleep.when`.
STATES: dict[str, tuple[PowerState, ...]] = {
    "never": (),
    "low": (PowerState.LOW,),
    "idle": (PowerState.LOW, PowerState.NORMAL, PowerState.SURPLUS),
}


class Wanted(msgspec.Struct, frozen=True):
    """When the board is to be awake again: seconds from now, None where there is no such time or nobody knows."""

    window_s: float | None = None  # the next window of `accept` begins
    fixed_s: float | None = None  # `wake_at`
    due_s: float | None = None  # a job or slot that may run then is due
    power_s: float | None = None  # normal power is expected, as a matter of time alone
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
    alarm_s: float = 0.0  # the alarm rings after so long
    ready_s: float = 0.0  # and the board is awake after so long
    look_s: float | None = None  # not before so long is another answer likely; None: when something changes


def decide(config: SleepConfig, costs: Costs, facts: Facts) -> Decision:
    """Whether to sleep now. What is worth while and what power allows is decided here; the gateway may still object."""
    if facts.state not in STATES[config.when]:
        return Decision(sleep=False, why=f"power is {facts.state}")
    if facts.plan is not None and facts.plan != "sleep":
        return Decision(sleep=False, why=f"the plan is to {facts.plan}")
    left_s = config.min_awake_s - facts.awake_s
    if left_s > 0:
        return Decision(sleep=False, why=f"it has been awake for {duration(facts.awake_s)}", look_s=left_s)
    if facts.busy:
        return Decision(sleep=False, why=facts.busy)
    if facts.inside:
        return Decision(sleep=False, why="the LAN expects the board now (power.sleep.accept)", look_s=60.0)
    return _until(config, costs, facts.wanted)


def least_s(costs: Costs) -> float | None:
    """The shortest time until it is awake again for which it sleeps; None: it never saves anything."""
    least = costs.least_s
    return None if least is None else max(SHORTEST_S, SOONEST_ALARM_S + costs.boot_s, _MARGIN * least)


def _until(config: SleepConfig, costs: Costs, wanted: Wanted) -> Decision:
    """Sleep until the first time at which the board is wanted, if that is worth while."""
    least = least_s(costs)
    if least is None:
        return Decision(sleep=False, why="this board draws as much when it is off (power.sleep.off_watts)")
    times = [
        (wanted.window_s, "the LAN expects it then"),
        (wanted.due_s, "a job is due then"),
        (wanted.plan_s, "the forecast has power for it then"),
        (wanted.power_s, "power is expected to be normal then"),
        (wanted.fixed_s, "power.sleep.wake_at"),
        (config.max_s + costs.boot_s, "it looks again then"),
    ]
    ready_s, why = min(((max(0.0, at), why) for at, why in times if at is not None), key=lambda each: each[0])
    if ready_s < least:
        said = f"it is wanted in {duration(ready_s)} ({why}); to go down pays from {duration(least)} on"
        return Decision(sleep=False, why=said, look_s=60.0)
    alarm_s = min(max(SOONEST_ALARM_S, ready_s - costs.boot_s), config.max_s)
    return Decision(sleep=True, why=why, alarm_s=alarm_s, ready_s=alarm_s + costs.boot_s)
