"""Tests of the source of kind `clock`."""

from __future__ import annotations

import pytest

from edge.model import Verdict
from edge.power.sources.clock import Clock, ClockConfig
from tests.source_inputs import read


def test_a_clock_in_the_past_is_low() -> None:
    """A clock at 1970 is a reason to pause, because everything that depends on the time would be wrong."""
    seen = read(Clock(ClockConfig(), wall=lambda: 100.0, sync=lambda: True))["clock"]
    assert (seen.verdict, "1970" in seen.reason) == (Verdict.LOW, True)


@pytest.mark.parametrize(("required", "verdict"), [(True, Verdict.LOW), (False, Verdict.OK)])
def test_an_unsynchronised_clock(required: bool, verdict: Verdict) -> None:
    """The reason always names it. Power is low only with `require_sync`."""
    seen = read(Clock(ClockConfig(require_sync=required), wall=lambda: 1.8e9, sync=lambda: False))["clock"]
    assert (seen.verdict, seen.reason) == (verdict, "not synchronised")
