"""Holds the record by which the sleeper orders the governor to shut down and sleep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SleepOrder:
    """Orders the governor to shut down now.

    The governor calls `objection` until it stops the first unit. An answer that is not empty cancels the sleep.
    """

    reason: str
    alarm_s: float | None  # seconds from now, or None if a UPS switches the power back on
    wake_at: float | None  # when the board will be ready, in epoch seconds; None if the clock is not plausible
    objection: Callable[[], str] = lambda: ""
