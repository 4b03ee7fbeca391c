"""Defines a kind of power source: its configuration record, and the protocol of the open source.

A kind is one file. It declares a frozen subclass of `PowerSourceConfig` with its `kind` as tag:

    class MeterConfig(PowerSourceConfig, frozen=True, tag="meter"):
        \"\"\"A meter on a serial line.\"\"\"

        device: Annotated[Path, about("its port")] = Path("/dev/ttyUSB0")

        def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
            return (charge(power),)

        def open(self, layout: Layout, notify: Callable[[], None]) -> Source:
            return Meter(self)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from edge.config.power import PowerConfig
from edge.config.source import SourceConfig
from edge.core.layout import Layout
from edge.model import Reading
from edge.power.inputs.quantity import Quantity


class Source(Protocol):
    """An open power source. The governor's loop calls it, always on the same thread.

    `read` gets a monotonic time in seconds. It must return within about a quarter of a second, and never raises. It
    always returns at least one reading; a value that it cannot measure is `unknown` with the reason. If the device has
    vanished, each `read` looks for it again. `close` may be called twice.

    Two attributes are optional. `quiet` is true if the readings never change without a notice, so that the source need
    not be read again until then. `max_period_s` is the longest allowed time between two reads, in seconds.
    """

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the current readings."""
        ...

    def close(self) -> None:
        """Release all resources. A later `read` opens them again."""
        ...


class FoundSource(msgspec.Struct, frozen=True):
    """A source that a probe found, with its current readings, or a note on a source that is missing."""

    record: PowerSourceConfig | None
    note: str = ""
    readings: tuple[Reading, ...] = ()


class PowerSourceConfig(SourceConfig, frozen=True):
    """The base of each kind of source. A subclass has the keys of the kind, and says how to open and find such sources.

    The method `quantities` says what a source of the kind reports.
    """

    #: `edge power probe` shows kinds with a smaller number first.
    probe_rank: ClassVar[int] = 50

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantities that the source reports, with the criteria that follow from this record.

        A standard quantity that is left out keeps its standard criterion.
        """
        raise NotImplementedError

    def open(self, layout: Layout, notify: Callable[[], None]) -> Source:
        """Open the source that this record configures.

        Args:
            layout: the folders of the board.
            notify: makes the governor read this source at once; may be called from any thread.
        """
        raise NotImplementedError

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:  # noqa: ARG003 - only a kind that can be found uses it
        """Yield the sources of this kind that are found under `root`.

        Pins are not touched, since reading a pin may disturb the program that owns it.
        """
        yield from ()
