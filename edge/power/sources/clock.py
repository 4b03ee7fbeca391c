"""Checks whether the wall clock can be right: the clock of a board without an RTC starts in the past."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.clock import EARLIEST_YEAR, synchronised
from edge.core.layout import Layout
from edge.power.inputs.quantity import Criterion, Quantity
from edge.power.inputs.reading import Reading, Verdict, known, unknown
from edge.power.inputs.source import FoundSource, PowerSourceConfig


class ClockConfig(PowerSourceConfig, frozen=True, tag="clock"):
    """Checks whether the wall clock can be right."""

    probe_rank: ClassVar[int] = 80

    earliest_year: Annotated[
        int, Meta(ge=1971, le=2100), about("a clock that shows an earlier year has not been set since the boot")
    ] = EARLIEST_YEAR
    require_sync: Annotated[bool, about("true: power is low until a time server has set the clock")] = False

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantity `clock`, in seconds since 1970. It is not part of the summary of a day."""
        return (
            Quantity(
                what="clock",
                unit="s",
                criterion=Criterion(),
                words=lambda reading: reading.reason or "clock set",
                recovery="the clock is set",
                daily=False,
            ),
        )

    def open(self, layout: Layout, notify: Callable[[], None]) -> Clock:
        """Open the source."""
        return Clock(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield the clock, which every board has."""
        yield FoundSource(cls())


class Clock:
    """Reads `clock` (seconds since 1970).

    It is low before `earliest_year`. With `require_sync` it is also low while the clock is not synchronised.
    """

    def __init__(
        self,
        record: ClockConfig,
        *,
        wall: Callable[[], float] = time.time,
        sync: Callable[[], bool] = synchronised,
    ) -> None:
        self.name, self.earliest_year, self.require_sync = record.label, record.earliest_year, record.require_sync
        self._wall, self._sync = wall, sync

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the time of the wall clock, with a verdict on whether it can be right."""
        seconds = self._wall()
        try:
            year = time.gmtime(seconds).tm_year
        except (OverflowError, OSError, ValueError):
            return (unknown(self.name, "clock", f"absurd ({seconds})", "s"),)
        if year < self.earliest_year:
            reason = f"the clock shows {year}, before {self.earliest_year}: it has not been set since the boot"
            return (known(self.name, "clock", seconds, "s", verdict=Verdict.LOW, reason=reason),)
        try:
            synced = self._sync()
        except OSError as err:
            if self.require_sync:
                return (unknown(self.name, "clock", f"adjtimex: {err.strerror or err}", "s"),)
            synced = True
        if synced:
            return (known(self.name, "clock", seconds, "s"),)
        verdict = Verdict.LOW if self.require_sync else Verdict.OK
        return (known(self.name, "clock", seconds, "s", verdict=verdict, reason="not synchronised"),)

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""
