"""Replaces the fixed pause threshold of charge in the rules by the lower limit of the planner (the floor)."""

from __future__ import annotations

import msgspec

from edge.config.power import ThresholdConfig
from edge.power.policy.rules import Rule, Rules

#: Work resumes when the charge is this many percent points above the floor. A gauge that counts whole percents would
#: otherwise make the state flap.
GAP_PERCENT = 3.0


def with_floor(rules: Rules, thresholds: ThresholdConfig, floor_percent: float | None) -> Rules:
    """Return rules under which work may discharge the battery to `floor_percent`.

    If `floor_percent` is None, the rules stay as they are. Only bands of charge with the configured thresholds change.
    The floor is always above critical and never above the configured pause threshold. So a planner can only allow more
    work than the owner's thresholds do.
    """
    if floor_percent is None:
        return rules
    floor = min(thresholds.pause_percent, max(floor_percent, thresholds.critical_percent + 1.0))

    def moved(rule: Rule) -> Rule:
        band = rule.band
        if band is None or (band.pause, band.resume) != (thresholds.pause_percent, thresholds.resume_percent):
            return rule
        resume = min(band.resume, floor + GAP_PERCENT)
        return msgspec.structs.replace(rule, band=msgspec.structs.replace(band, pause=floor, resume=resume))

    return msgspec.structs.replace(
        rules,
        by_what={what: moved(rule) if what == "charge" else rule for what, rule in rules.by_what.items()},
        by_source={key: moved(rule) if key.endswith("/charge") else rule for key, rule in rules.by_source.items()},
    )
