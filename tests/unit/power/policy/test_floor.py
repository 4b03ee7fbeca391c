"""Tests of the planner's floor, which replaces the fixed threshold of charge."""

from __future__ import annotations

from edge.config.power import PowerConfig, ThresholdConfig
from edge.power.policy.floor import with_floor
from edge.power.policy.rules import from_config

RULES = from_config(PowerConfig())
LIMITS = ThresholdConfig()


def band(floor: float | None) -> tuple[float, float, float | None]:
    found = with_floor(RULES, LIMITS, floor).by_what["charge"].band
    assert found is not None
    return found.pause, found.resume, found.critical


def test_without_a_floor_the_fixed_thresholds_decide() -> None:
    assert with_floor(RULES, LIMITS, None) is RULES


def test_a_floor_moves_pause_and_resume_and_never_critical() -> None:
    assert band(14.0) == (14.0, 17.0, 10.0)


def test_a_floor_never_reaches_critical() -> None:
    assert band(0.0) == (11.0, 14.0, 10.0)


def test_a_floor_never_lies_above_the_owners_threshold() -> None:
    assert band(60.0) == (30.0, 33.0, 10.0)


def test_limits_that_the_owner_gave_to_a_source_stay() -> None:
    """Only bands with the configured thresholds change."""
    other = ThresholdConfig(pause_percent=40.0, resume_percent=50.0)
    assert with_floor(RULES, other, 14.0) == RULES
