"""What the planner decided: how low the battery may go, and whether the board works, idles or sleeps until when."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Action(StrEnum):
    """How the next minutes are spent."""

    WORK = "work"  # there is something to run with, and something to run
    IDLE = "idle"  # the board stays up, and nothing runs
    SLEEP = "sleep"  # the board may go down until `Plan.wake_at`


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision of the planner. Times are seconds since the epoch.

    A plan without `floor_percent` leaves the fixed thresholds in force: the clock or the forecast is not trusted.
    """

    action: Action
    reason: str  # one sentence
    until: float  # the plan counts until then; after that it is as if there were none
    floor_percent: float | None = None  # work may run the battery down to this charge
    wake_at: float | None = None  # set if and only if `action` is `sleep`
    budget_wh: float | None = None  # what work may take until the sun is back
    sun_at: float | None = None  # when the panel is expected to give more than an idle board draws
