"""Feeds sources with real inputs through the policy, sample by sample, without a governor."""

from __future__ import annotations

from pathlib import Path

from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs.limits import Level
from edge.power.policy import policy, wording
from edge.power.policy.rules import from_config
from edge.power.sources import configured


class Sampled:
    """The sources of `config`, read every ten seconds of simulated time."""

    def __init__(self, config: PowerConfig) -> None:
        layout = Layout(Path("/nowhere/root"), Path("/nowhere/run"))
        self.rules, self.state, self.now = from_config(config), policy.PolicyState(), 1000.0
        self.sources = [record.open(layout, lambda: None) for record in configured(config)]

    def samples(self, number: int) -> Level:
        """Take `number` further samples, and return the level."""
        for _ in range(number):
            self.now += 10.0
            readings = [reading for source in self.sources for reading in source.read(self.now)]
            self.state = policy.step(self.rules, self.state, readings, self.now, 720)
        return self.state.level

    @property
    def reason(self) -> str:
        """The reason for the level, as a sentence."""
        return wording.explain(self.rules, self.state).reason


def level_after(config: PowerConfig, *, samples: int) -> Level:
    """Return the level of a board that has just started, after `samples` samples."""
    return Sampled(config).samples(samples)
