"""All sources of a board, read together; a source with a notice is read alone and at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from edge.core.layout import Layout
from edge.model import Reading, Verdict
from edge.power.inputs.reading import unknown
from edge.power.inputs.source import PowerSourceConfig, Source


class Sensing:
    """Reads what is configured. A source that breaks its contract is unknown and does no harm."""

    def __init__(self, records: Sequence[PowerSourceConfig], layout: Layout, notice: Callable[[str], None]) -> None:
        """Open every source; `notice` is called with a source's name, from any thread, when it has to be read."""
        self._cached: dict[str, tuple[float, tuple[Reading, ...]]] = {}
        self._sources: dict[str, Source] = {
            record.label: _opened(record, layout, partial(notice, record.label)) for record in records
        }
        #: True where no source needs to be read again without a notice.
        self.quiet = all(getattr(source, "quiet", False) is True for source in self._sources.values())
        self.max_period_s = min(map(_period_s, self._sources.values()), default=math.inf)

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
            with suppress(Exception):  # the others are closed all the same
                source.close()

    def _read(self, name: str, source: Source, now: float) -> tuple[Reading, ...]:
        try:
            readings = tuple(source.read(now))
            if fault := _fault(name, readings):
                return (unknown(name, "source", f"fault in the source: {fault}"),)
            return readings
        except Exception as err:
            # The last line of defence: a governor that dies of a sensor protects nobody.
            return (unknown(name, "source", f"fault in the source: {_shown(err)}"),)


class _Unopened:
    """Stands for a source that could not be opened, and tries again at each read."""

    def __init__(self, record: PowerSourceConfig, layout: Layout, notify: Callable[[], None]) -> None:
        self._open = partial(record.open, layout, notify)
        self._source: Source | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """What the source says, once it can be opened; raises what `open` raises."""
        if self._source is None:
            self._source = self._open()
        return self._source.read(now)

    def close(self) -> None:
        """Close it, if it ever was open."""
        if self._source is not None:
            self._source.close()


def _opened(record: PowerSourceConfig, layout: Layout, notify: Callable[[], None]) -> Source:
    try:
        return record.open(layout, notify)
    except Exception:  # its first read says why
        return _Unopened(record, layout, notify)


def _period_s(source: Source) -> float:
    """The longest time between two reads that a source asks for."""
    period_s = getattr(source, "max_period_s", math.inf)
    return float(period_s) if isinstance(period_s, int | float) and period_s > 0 else math.inf


def _fault(name: str, readings: Sequence[object]) -> str:
    """What is against the contract in the readings of the source `name`, or an empty string."""
    if not readings:
        return "it returned no reading"
    for reading in readings:
        if not isinstance(reading, Reading):
            return f"it returned {reading!r:.60} instead of a Reading"
        if reading.source != name and not str(reading.source).startswith(f"{name}:"):
            return f"a reading is of {reading.source!r:.60} instead of {name!r}"
        texts = (reading.what, reading.unit, reading.reason)
        if not (all(isinstance(text, str) for text in texts) and isinstance(reading.verdict, Verdict)):
            return f"the reading {reading!r:.120} has a field of a wrong type"
        if not _is_number(reading.age_s) or reading.age_s < 0:
            return f"{reading.what} has an age of {reading.age_s!r:.40}"
        if reading.value is not None and not _is_number(reading.value):
            return f"{reading.what} is {reading.value!r:.40}, which is no finite number"
        if (reading.value is None) is not (reading.verdict is Verdict.UNKNOWN):
            return f"{reading.what} is {reading.value} and {reading.verdict}: only what is unknown has no value"
    return ""


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False


def _shown(err: Exception) -> str:
    """The kind of an error and its text, in one line."""
    return " ".join(f"{type(err).__name__}: {err}".split())[:200]
