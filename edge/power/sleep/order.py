"""The order to go down and sleep, from the sleeper to the governor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SleepOrder:
    """For the governor: go down now.

    The governor calls `objection` until it stops the first unit; an answer that is not empty cancels the sleep.
    """

    reason: str
    alarm_s: float | None  # None: a UPS switches the power back on
    wake_at: float | None  # seconds since the epoch; None where the clock cannot be trusted
    objection: Callable[[], str] = lambda: ""
