"""The planner's decision: how low the battery may go, and if the board works, idles or sleeps."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Action(StrEnum):
    """What the board does next."""

    WORK = "work"  # there is energy for jobs, and there are jobs to run
    IDLE = "idle"  # the board stays up, and nothing runs
    SLEEP = "sleep"  # the board may go down until `Plan.wake_at`


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision of the planner. Times are seconds since the epoch.

    Without `floor_percent` the fixed thresholds stay in force, because the clock or the forecast is not trusted.
    """

    action: Action
    reason: str  # one sentence
    until: float  # end of validity; after this time the plan has no effect
    floor_percent: float | None = None  # work may run the battery down to this charge
    wake_at: float | None = None  # set if and only if `action` is `sleep`
    budget_wh: float | None = None  # energy that work may use until the sun is back
    #: Time from which the panel is expected to give more than an idle board draws; None if the forecast has none.
    sun_at: float | None = None
    wake_reason: str = ""  # why the board wakes at `wake_at`
