"""Sets the state that a simulated source plays. The governor watches the file and reads it at once."""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.core import durable
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.power.sources.simulated import VERDICTS, SimulatedConfig

STATES = tuple(VERDICTS)


def simulate(config: PowerConfig, layout: Layout, state: str | None) -> None:
    """Make the simulated source play `state` from now on. With None, it returns to its configuration.

    Raises:
        UsageError: no simulated source is configured, or there is no such state.
        OSError: the file cannot be written.
    """
    if not any(isinstance(source, SimulatedConfig) for source in config.sources):
        raise UsageError("no simulated source: edge.yaml needs `power: {sources: [{kind: simulated}]}`")
    if state is not None and state not in VERDICTS:
        raise UsageError(f"state {state!r}: must be one of {', '.join(VERDICTS)}")
    if state is None:
        layout.simulated.unlink(missing_ok=True)
        return
    layout.simulated.parent.mkdir(parents=True, exist_ok=True)
    durable.replace_volatile(layout.simulated, state.encode())
