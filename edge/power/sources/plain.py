"""A wall plug that nothing measures."""

from __future__ import annotations

from collections.abc import Callable

from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs.quantity import Criterion, Quantity, supply
from edge.power.inputs.reading import Reading, Verdict, known
from edge.power.inputs.source import PowerSourceConfig


class PlainConfig(PowerSourceConfig, frozen=True, tag="plain"):
    """A wall plug that nothing measures: always good."""

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """The supply: plenty with the first sample, as there is nothing to wait for."""
        return (supply(power).decides(Criterion(good_samples=1, claims_surplus=True, vetoes_surplus=True)),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Plain:
        """The source."""
        return Plain(self)


class Plain:
    """Reads `supply` as more than enough, always: what a board is when no source is configured."""

    quiet = True

    def __init__(self, record: PlainConfig) -> None:
        self.name = record.label

    def read(self, now: float) -> tuple[Reading, ...]:
        """The supply."""
        reason = "plain supply configured: always good"
        return (known(self.name, "supply", 1.0, verdict=Verdict.SURPLUS, reason=reason),)

    def close(self) -> None:
        """Nothing is held open."""
