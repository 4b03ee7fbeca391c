"""How often the governor reads its sensors."""

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
    def test_looks_more_often_where_something_may_happen(self, percents: list[float], period_s: float) -> None:
        """At a start, near a threshold and while samples count: fast; long stable and good: slow; else as usual."""
        assert self.run(*percents) == period_s
