"""Sets what a simulated source says, live; the governor sees the file and reads it at once."""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.core import durable
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.power.sources.simulated import VERDICTS, SimulatedConfig

STATES = tuple(VERDICTS)


def simulate(config: PowerConfig, layout: Layout, state: str | None) -> None:
    """Play `state` from now on; None: go back to what is configured. Raises UsageError without a simulated source."""
    if not any(isinstance(source, SimulatedConfig) for source in config.sources):
        raise UsageError("no simulated source: edge.yaml needs `power: {sources: [{kind: simulated}]}`")
    if state is not None and state not in VERDICTS:
        raise UsageError(f"state {state!r}: one of {', '.join(VERDICTS)}")
    if state is None:
        layout.simulated.unlink(missing_ok=True)
        return
    layout.simulated.parent.mkdir(parents=True, exist_ok=True)
    durable.replace_volatile(layout.simulated, state.encode())
