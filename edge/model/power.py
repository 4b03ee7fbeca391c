"""Power: what the sensors say, what the governor decides, and which jobs may start then."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edge.model.plan import Plan


class Power(StrEnum):
    """The power class of a job: how good power must be before it starts."""

    ALWAYS = "always"
    NORMAL = "normal"
    SURPLUS = "surplus"


class PowerState(StrEnum):
    """What the governor decided about the supply."""

    SURPLUS = "surplus"
    NORMAL = "normal"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    PAUSED = "paused"  # by hand or by the button, whatever the battery is


#: Which classes may start in which state; `unknown` also means that there is no report of the governor.
ALLOWED: dict[PowerState, tuple[Power, ...]] = {
    PowerState.SURPLUS: (Power.ALWAYS, Power.NORMAL, Power.SURPLUS),
    PowerState.NORMAL: (Power.ALWAYS, Power.NORMAL),
    PowerState.LOW: (Power.ALWAYS,),
    PowerState.CRITICAL: (),
    PowerState.UNKNOWN: (),
    PowerState.PAUSED: (),
}


class Verdict(StrEnum):
    """What one reading says about power; `ok` is no objection, `surplus` a claim that there is more than enough."""

    SURPLUS = "surplus"
    OK = "ok"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source measured: a value in its unit, how old it is, and what it means."""

    source: str  # its name in `edge.yaml`
    what: str  # charge, volts, amps, watts, solar_watts, runtime, phase, supply, undervoltage, temperature, ...
    value: float | None = None  # None if and only if the verdict is unknown
    unit: str = ""
    age_s: float = 0.0
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""  # why it is unknown, or what the number does not say


class Mix(msgspec.Struct, frozen=True, omit_defaults=True):
    """Shares of what the board draws, by where it comes from; together 1."""

    sun: float = 0.0
    battery: float = 0.0
    mains: float = 0.0


class PowerStatus(msgspec.Struct, frozen=True):
    """`/run/edge/power.json`: the governor's decision, with the reason and the rule that ends it."""

    state: PowerState
    code: str  # stable, for programs
    reason: str  # a sentence with the numbers
    until: str = ""  # the rule that ends the state, in words
    since: float = 0.0
    at: float = 0.0
    boot_id: str = ""
    pid: int = 0
    monotonic: float = 0.0  # CLOCK_MONOTONIC when written, the same for all processes of a boot
    valid_s: float = 0.0  # older than this: treat as unknown; 0: valid while the governor lives
    readings: tuple[Reading, ...] = ()  # what the decision was made from, with the verdict of the policy
    resumes_at: float | None = None  # wall clock: normal power expected, where that is a matter of time alone
    plan: Plan | None = None  # of the planner, where the board looks ahead
    mix: Mix | None = None  # from what the board draws now; None: nobody can tell
