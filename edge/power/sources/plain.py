"""Reports a wall plug without a sensor as always good."""

from __future__ import annotations

from collections.abc import Callable

from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs.quantity import Criterion, Quantity, supply
from edge.power.inputs.reading import Reading, Verdict, known
from edge.power.inputs.source import PowerSourceConfig


class PlainConfig(PowerSourceConfig, frozen=True, tag="plain"):
    """A wall plug without a sensor: always good."""

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the supply. It means surplus from the first sample on, because later samples are the same."""
        return (supply(power).with_criterion(Criterion(good_samples=1, claims_surplus=True, vetoes_surplus=True)),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Plain:
        """Open the source."""
        return Plain(self)


class Plain:
    """Always reads `supply` as surplus. A board without configured sources has this one."""

    quiet = True

    def __init__(self, record: PlainConfig) -> None:
        self.name = record.label

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the supply, which is always good."""
        reason = "plain supply configured: always good"
        return (known(self.name, "supply", 1.0, verdict=Verdict.SURPLUS, reason=reason),)

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""
