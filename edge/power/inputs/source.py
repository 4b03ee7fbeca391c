"""The record of a kind of source, and what it opens.

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
    """Something that tells of power. The governor's loop calls it, always on one thread.

    `read` is called with a monotonic time in seconds, must return within about a quarter of a second, never raises,
    and always returns at least one reading; what it cannot tell is `unknown` with the reason. `close` may be called
    twice. A device that vanished is looked for again at each read.

    Two attributes are optional: `quiet` is true where nothing changes without a notice, so that it need not be read
    again; `max_period_s` is the longest time that may lie between two reads.
    """

    def read(self, now: float) -> tuple[Reading, ...]:
        """What there is to know now."""
        ...

    def close(self) -> None:
        """Let everything go; a later `read` takes it up again."""
        ...


class FoundSource(msgspec.Struct, frozen=True):
    """A source that is there (or a note on one that is not), and what it says now."""

    record: PowerSourceConfig | None
    note: str = ""
    readings: tuple[Reading, ...] = ()


class PowerSourceConfig(SourceConfig, frozen=True):
    """A kind of source: the keys of its record, what it reports, how it is opened and how it is found."""

    #: `edge power probe` shows kinds with a smaller number first.
    probe_rank: ClassVar[int] = 50

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """What it reports, with the criteria of this record. Standard quantities that it leaves out keep theirs."""
        raise NotImplementedError

    def open(self, layout: Layout, notify: Callable[[], None]) -> Source:
        """The source that this record asks for.

        Args:
            layout: the folders of the board.
            notify: makes the governor read this source at once; may be called from another thread.
        """
        raise NotImplementedError

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:  # noqa: ARG003 - a kind that cannot be found looks nowhere
        """What of this kind is found under `root`; a pin is not touched, as reading one may disturb its owner."""
        yield from ()
