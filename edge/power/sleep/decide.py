"""Decides whether the board sleeps, until when, or why not. Pure functions, which read no clock and no file."""

from __future__ import annotations

import math

import msgspec

from edge.config.sleep import SleepConfig
from edge.core.text import duration
from edge.model import PowerState
from edge.power.sleep.costs import Costs

#: A sleep must last this factor longer than the time that saves its costs, because the known costs are not exact.
_MARGIN = 1.5
#: Shortest sleep, in seconds. A shorter one is not worth the wear.
SHORTEST_S = 300.0
#: Earliest alarm, in seconds from now: the board needs this time to shut down.
SOONEST_ALARM_S = 60.0
#: Power states in which the board may sleep, by `power.sleep.when`.
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
    """Times at which the board must be awake, in seconds from now. None if there is no such time or it is not known."""

    window_s: float | None = None  # begin of the next window of `accept`
    fixed_s: float | None = None  # next time of day of `wake_at`
    due_s: float | None = None  # next job or slot that may run then
    power_s: float | None = None  # expected return of normal power, at the end of the dwell time
    plan_s: float | None = None  # time at which the plan wakes the board
    plan_why: str = "the forecast expects enough energy"  # the plan's reason for this time


class Facts(msgspec.Struct, frozen=True):
    """Facts that the decision depends on."""

    state: PowerState
    awake_s: float  # seconds since the boot
    busy: str = ""  # a sentence about the worker that is busy, or "" if none is
    inside: bool = False  # now is in a window of `accept`; also True if there are windows and the clock is not trusted
    plan: str | None = None  # action of the plan: work, idle or sleep; None if no forecast is in force
    wanted: Wanted = Wanted()


class Decision(msgspec.Struct, frozen=True):
    """The decision whether to sleep, with its reason."""

    sleep: bool
    why: str
    alarm_s: float = 0.0  # seconds from now until the alarm wakes the board
    ready_s: float = 0.0  # seconds from now until the board has booted
    look_s: float | None = None  # seconds until the next decision; None if only a change can lead to another one


def decide(config: SleepConfig, costs: Costs, facts: Facts) -> Decision:
    """Decide from power state, times and energy balance only. The gateway may still refuse the sleep."""
    if facts.state not in STATES[config.when]:
        return Decision(
            sleep=False, why=f"power is {facts.state}; power.sleep.when = {config.when}{_ALLOWS[config.when]}"
        )
    if facts.plan is not None and facts.plan != "sleep":
        return Decision(sleep=False, why=f"the plan is to {facts.plan}")
    left_s = config.min_awake_s - facts.awake_s
    if left_s > 0:
        # The text names no remaining time, because each new reason is a line in the log.
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


def too_short(config: SleepConfig, costs: Costs) -> str:
    """Return why even the longest sleep would save no energy, so that the board never sleeps, or "" if it does."""
    least, longest_s = least_s(costs), config.max_s + costs.boot_s
    if least is None or longest_s >= least:  # `_until` names the reason if there is no least time
        return ""
    return (
        f"no sleep saves energy: with a boot of {costs.boot_s:g} s at {costs.boot_watts:g} W, max_s must be at least "
        f"{math.ceil(least - costs.boot_s)}"
    )


def _until(config: SleepConfig, costs: Costs, wanted: Wanted) -> Decision:
    """Decide to sleep until the first time at which the board must be awake, if such a sleep saves energy."""
    least = least_s(costs)
    if least is None:
        off, idle = costs.off_watts, costs.idle_watts
        why = f"a sleep saves nothing: off_watts {off:g} is not below idle_watts {idle:g} (power.sleep)"
        return Decision(sleep=False, why=why)
    times = [
        (wanted.window_s, "a window of power.sleep.accept begins"),
        (wanted.due_s, "a job is due"),
        (wanted.plan_s, wanted.plan_why),
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
