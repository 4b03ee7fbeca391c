"""Tests of setting the state of a simulated source."""

from __future__ import annotations

import pytest

from edge.config.power import PowerConfig
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.power.simulate import simulate
from edge.power.sources.simulated import SimulatedConfig


class TestSimulate:
    def test_needs_a_simulated_source(self, layout: Layout) -> None:
        """On a board with real sensors only, no state can be set."""
        with pytest.raises(UsageError, match="no simulated source"):
            simulate(PowerConfig(), layout, "low")

    def test_an_unknown_state_is_refused(self, layout: Layout) -> None:
        """The error is one line with the allowed states."""
        with pytest.raises(UsageError, match="one of surplus, normal, low, critical, unknown"):
            simulate(PowerConfig(sources=(SimulatedConfig(),)), layout, "sunny")
