"""The records of power: readings of the sensors, the decision of the governor, and which jobs may start."""

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
    """The governor's decision about power: which classes of jobs may start, see `ALLOWED`."""

    SURPLUS = "surplus"
    NORMAL = "normal"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    PAUSED = "paused"  # by a person or by the button, at any charge of the battery


#: The power classes that may start in each state. `unknown` also means that there is no report of the governor.
ALLOWED: dict[PowerState, tuple[Power, ...]] = {
    PowerState.SURPLUS: (Power.ALWAYS, Power.NORMAL, Power.SURPLUS),
    PowerState.NORMAL: (Power.ALWAYS, Power.NORMAL),
    PowerState.LOW: (Power.ALWAYS,),
    PowerState.CRITICAL: (),
    PowerState.UNKNOWN: (),
    PowerState.PAUSED: (),
}


class Verdict(StrEnum):
    """What one reading means for power. `ok` allows normal work, `surplus` claims that there is more than enough."""

    SURPLUS = "surplus"
    OK = "ok"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured value of a source, with its unit, its age and its meaning."""

    source: str  # name of the source in `edge.yaml`
    what: str  # charge, volts, amps, watts, solar_watts, runtime, phase, supply, undervoltage, temperature, ...
    value: float | None = None  # None if and only if the verdict is unknown
    unit: str = ""
    age_s: float = 0.0
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""  # why the value is unknown, or a remark that explains the number


class Mix(msgspec.Struct, frozen=True, omit_defaults=True):
    """The origin of the power that the board draws, as shares that sum to 1."""

    sun: float = 0.0
    battery: float = 0.0
    mains: float = 0.0


class PowerStatus(msgspec.Struct, frozen=True):
    """`/run/edge/power.json`: the governor's decision, its reason, and the rule that ends the state."""

    state: PowerState
    code: str  # stable, for programs
    reason: str  # one sentence that names the values and limits
    until: str = ""  # the rule that ends the state, in words
    since: float = 0.0  # start of the state, seconds since the epoch
    at: float = 0.0  # time of the report, seconds since the epoch
    boot_id: str = ""
    pid: int = 0
    monotonic: float = 0.0  # CLOCK_MONOTONIC when written, the same for all processes of a boot
    valid_s: float = 0.0  # an older report counts as unknown; if 0, it is valid while the governor lives
    readings: tuple[Reading, ...] = ()  # the readings behind the decision, with the verdict of the policy
    resumes_at: float | None = None  # when normal power is expected, in epoch seconds; set only if time alone decides
    plan: Plan | None = None  # plan of the planner; None if the board makes no forecast
    mix: Mix | None = None  # origin of the power that the board draws now; None if it is not known
