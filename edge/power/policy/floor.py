"""The rules with a lower limit of the planner in place of the fixed threshold of charge."""

from __future__ import annotations

import msgspec

from edge.config.power import ThresholdConfig
from edge.power.policy.rules import Rule, Rules

#: Charge rises so far above the floor before work goes on, in percent: a gauge of whole percents must not flap.
GAP_PERCENT = 3.0


def with_floor(rules: Rules, thresholds: ThresholdConfig, floor_percent: float | None) -> Rules:
    """`rules` under which work may run the battery down to `floor_percent`; None: as they are.

    Only bands of charge that stand at the configured thresholds move. The floor stays above critical and never lies
    above the configured pause: a planner can only allow more than the owner's thresholds do.
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
