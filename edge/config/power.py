"""The `power` section of `edge.yaml`: what the governor decides by."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.errors import ConfigError

Percent = Annotated[float, Meta(ge=0, le=100)]


class ThresholdConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Charge of the battery at which the state changes, in percent; critical < pause < resume <= surplus."""

    critical_percent: Percent = 10.0
    pause_percent: Percent = 30.0
    resume_percent: Percent = 45.0
    surplus_percent: Percent = 90.0


class PowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where power comes from and when it is too low to work."""

    thresholds: ThresholdConfig = ThresholdConfig()

    def check(self) -> None:
        """Raise ConfigError where two values that are each allowed contradict each other."""
        t = self.thresholds
        ordered = [
            ("critical_percent", t.critical_percent, "pause_percent", t.pause_percent),
            ("pause_percent", t.pause_percent, "resume_percent", t.resume_percent),
        ]
        for low_key, low, high_key, high in ordered:
            if not low < high:
                raise ConfigError(
                    f"power.thresholds.{low_key}", low, f"must be below power.thresholds.{high_key} ({high:g})"
                )
        if not t.resume_percent <= t.surplus_percent:
            raise ConfigError(
                "power.thresholds.surplus_percent",
                t.surplus_percent,
                f"must not be below power.thresholds.resume_percent ({t.resume_percent:g})",
            )
