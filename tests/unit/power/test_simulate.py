"""Playing with the power of a board that has a simulated source."""

from __future__ import annotations

import pytest

from edge.config.power import PowerConfig
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.power.simulate import simulate
from edge.power.sources.simulated import SimulatedConfig


class TestSimulate:
    def test_needs_a_simulated_source(self, layout: Layout) -> None:
        """On a board with real sensors nobody plays with its power."""
        with pytest.raises(UsageError, match="no simulated source"):
            simulate(PowerConfig(), layout, "low")

    def test_a_state_that_is_none_is_named(self, layout: Layout) -> None:
        """One line with what is allowed."""
        with pytest.raises(UsageError, match="one of surplus, normal, low, critical, unknown"):
            simulate(PowerConfig(sources=(SimulatedConfig(),)), layout, "sunny")
