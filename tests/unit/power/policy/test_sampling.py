"""Tests of the time between two samples of the governor."""

from __future__ import annotations

import pytest

from edge.config.power import PowerConfig, SamplingConfig
from edge.power.policy import policy
from edge.power.policy import sampling as pace
from edge.power.policy.rules import from_config
from tests.unit.power.readings import charge


class TestSampling:
    def run(self, *percents: float, every_s: float = 10.0) -> float:
        rules, state = from_config(PowerConfig()), policy.PolicyState()
        for n, percent in enumerate(percents):
            state = policy.step(rules, state, (charge(percent),), 1000 + n * every_s, None)
        return pace.period_s(SamplingConfig(), rules, state)

    @pytest.mark.parametrize(
        ("percents", "period_s"),
        [([60], 2.0), ([60] * 4, 10.0), ([60] * 80, 30.0), ([60] * 4 + [29], 2.0), ([32] * 4, 10.0),
         ([60] * 4 + [32], 2.0), ([60] * 80 + [32] * 9, 10.0), ([20] * 80, 10.0)],
    )  # fmt: skip
    def test_samples_are_faster_while_the_state_may_change(self, percents: list[float], period_s: float) -> None:
        """Sampling is fast at a start, near a threshold and while samples are counted, and slow at stable power."""
        assert self.run(*percents) == period_s
