"""Reads all sources of a board together. A source that sends a notice is read alone and at once."""

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
    """Reads the configured sources. A source that breaks its contract is unknown, and the others go on.

    Belongs to the governor's thread.
    """

    def __init__(self, records: Sequence[PowerSourceConfig], layout: Layout, notice: Callable[[str], None]) -> None:
        """Open every source.

        Args:
            records: the configured sources.
            layout: the folders of the board.
            notice: called with the name of a source that must be read at once; from any thread.
        """
        self._cached: dict[str, tuple[float, tuple[Reading, ...]]] = {}
        self._sources: dict[str, Source] = {
            record.label: _opened(record, layout, partial(notice, record.label)) for record in records
        }
        #: True if no source needs to be read again until it sends a notice.
        self.quiet = all(getattr(source, "quiet", False) is True for source in self._sources.values())
        self.max_period_s = min(map(_period_s, self._sources.values()), default=math.inf)

    def read(self, now: float, only: frozenset[str] = frozenset(), fresh_s: float = 0.0) -> tuple[Reading, ...]:
        """Return the current readings of all sources.

        Args:
            now: seconds of CLOCK_MONOTONIC.
            only: names of the sources to read; empty for all. The readings of the others come from their last read.
            fresh_s: a source whose last read is older than this is read in any case.
        """
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
            with suppress(Exception):  # an error of one source must not keep the others open
                source.close()

    def _read(self, name: str, source: Source, now: float) -> tuple[Reading, ...]:
        try:
            readings = tuple(source.read(now))
            if fault := _fault(name, readings):
                return (unknown(name, "source", f"fault in the source: {fault}"),)
            return readings
        except Exception as err:
            # A source must not raise. If one does, the governor must still run, because it protects the battery.
            return (unknown(name, "source", f"fault in the source: {_shown(err)}"),)


class _Unopened:
    """Replaces a source that could not be opened. It tries again at each read."""

    def __init__(self, record: PowerSourceConfig, layout: Layout, notify: Callable[[], None]) -> None:
        self._open = partial(record.open, layout, notify)
        self._source: Source | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """Open the source if it is not open yet, and return its readings. Raises whatever opening it raises."""
        if self._source is None:
            self._source = self._open()
        return self._source.read(now)

    def close(self) -> None:
        """Close the source if it was opened."""
        if self._source is not None:
            self._source.close()


def _opened(record: PowerSourceConfig, layout: Layout, notify: Callable[[], None]) -> Source:
    try:
        return record.open(layout, notify)
    except Exception:  # the first read fails in the same way and reports the reason
        return _Unopened(record, layout, notify)


def _period_s(source: Source) -> float:
    """Return the longest time between two reads that a source allows, or infinity if it sets none."""
    period_s = getattr(source, "max_period_s", math.inf)
    return float(period_s) if isinstance(period_s, int | float) and period_s > 0 else math.inf


def _fault(name: str, readings: Sequence[object]) -> str:
    """Return how the readings of the source `name` break the contract, or an empty string if they keep it."""
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
            return f"{reading.what} is {reading.value!r:.40}, which is not a finite number"
        if (reading.value is None) is not (reading.verdict is Verdict.UNKNOWN):
            return f"{reading.what} is {reading.value} and {reading.verdict}: only what is unknown has no value"
    return ""


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an int that is too large for a float
        return False


def _shown(err: Exception) -> str:
    """Return the class of an error and its text, in one line."""
    return " ".join(f"{type(err).__name__}: {err}".split())[:200]
