"""All sources of a board, read together; a source with a notice is read alone and at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from edge.core.layout import Layout
from edge.model import Reading
from edge.power.inputs.reading import unknown
from edge.power.inputs.source import PowerSourceConfig, Source


class Sensing:
    """Reads what is configured. A source that raises, against its contract, is unknown and does no harm."""

    def __init__(self, records: Sequence[PowerSourceConfig], layout: Layout, notice: Callable[[str], None]) -> None:
        """Open every source; `notice` is called with a source's name, from any thread, when it has to be read."""
        self._cached: dict[str, tuple[float, tuple[Reading, ...]]] = {}
        self._sources: dict[str, Source] = {
            record.label: record.open(layout, partial(notice, record.label)) for record in records
        }
        #: True where no source needs to be read again without a notice.
        self.quiet = all(getattr(source, "quiet", False) for source in self._sources.values())
        self.max_period_s = min(
            (getattr(s, "max_period_s", math.inf) for s in self._sources.values()), default=math.inf
        )

    def read(self, now: float, only: frozenset[str] = frozenset(), fresh_s: float = 0.0) -> tuple[Reading, ...]:
        """Every reading of now. With `only`, the others come from their last read, unless older than `fresh_s`."""
        for name, source in self._sources.items():
            taken = self._cached.get(name)
            if not only or name in only or taken is None or now - taken[0] > fresh_s:
                self._cached[name] = (now, self._read(name, source, now))
        return tuple(
            msgspec.structs.replace(reading, age_s=reading.age_s + now - at) if now > at else reading
            for at, readings in self._cached.values()
            for reading in readings
        )

    def close(self) -> None:
        """Close all sources."""
        for source in self._sources.values():
            source.close()

    def _read(self, name: str, source: Source, now: float) -> tuple[Reading, ...]:
        try:
            return source.read(now)
        except Exception as err:
            # The last line of defence: a governor that dies of a sensor protects nobody.
            return (unknown(name, "source", f"fault in the source: {type(err).__name__}: {err}"),)
