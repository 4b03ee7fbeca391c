"""What is particular to the wall clock."""

from __future__ import annotations

import pytest

from edge.model import Verdict
from edge.power.sources.clock import Clock, ClockConfig
from tests.source_inputs import read


def test_a_clock_in_the_past_is_low() -> None:
    """1970 is a reason to hold: nothing that goes by time can be right."""
    seen = read(Clock(ClockConfig(), wall=lambda: 100.0, sync=lambda: True))["clock"]
    assert (seen.verdict, "1970" in seen.reason) == (Verdict.LOW, True)


@pytest.mark.parametrize(("required", "verdict"), [(True, Verdict.LOW), (False, Verdict.OK)])
def test_an_unsynchronised_clock(required: bool, verdict: Verdict) -> None:
    """Is told always, and objected to where configured."""
    seen = read(Clock(ClockConfig(require_sync=required), wall=lambda: 1.8e9, sync=lambda: False))["clock"]
    assert (seen.verdict, seen.reason) == (verdict, "not synchronised")
