"""Means of power readings for each quarter of an hour. They are part of each day's file, and the plots read them.

A slot is a quarter of an hour of the wall clock, named by its first second. If the clock was wrong, a file has slots
at wrong times. This does no harm: the number of slots in a file is limited, and a reader gets only those of a span.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from edge.core import stored
from edge.model import Reading

SLOT_S = 900
#: Largest number of slots in one file: a day of 25 hours has 100. The limit keeps a clock that jumps from
#: filling the card.
MOST_SLOTS = 120
_DAY_S = 86_400.0
_LARGEST_BYTES = 256 << 10  # largest file that is read; the file of a day has about 10 KB
_MOST_VALUE = 1e12  # no true sum or count of readings is larger; the plots rely on this limit
#: Quantities that are kept, by name. If several sources report the same quantity, the first one counts.
QUANTITIES = ("charge", "watts", "solar_watts", "temperature")


class Mean(msgspec.Struct, array_like=True):
    """A running mean: the sum of the values and their number."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Add a value."""
        self.total, self.count = round(self.total + value, 2), self.count + 1

    @property
    def value(self) -> float | None:
        """The mean, or None if it has no values yet or if its file held impossible numbers."""
        if not 0 < self.count < _MOST_VALUE or not abs(self.total) < _MOST_VALUE:
            return None
        return self.total / self.count


class PowerSlot(msgspec.Struct, array_like=True):
    """A quarter of an hour: means of the quantities, and seconds in each state."""

    charge: Mean = msgspec.field(default_factory=Mean)
    watts: Mean = msgspec.field(default_factory=Mean)
    solar_watts: Mean = msgspec.field(default_factory=Mean)
    temperature: Mean = msgspec.field(default_factory=Mean)
    seconds: dict[str, float] = {}

    def read(self, readings: Iterable[Reading]) -> None:
        """Add the readings of one sample."""
        seen = set[str]()
        for reading in readings:
            if reading.what in QUANTITIES and reading.value is not None and reading.what not in seen:
                seen.add(reading.what)
                mean: Mean = getattr(self, reading.what)
                mean.add(reading.value)

    def add_time(self, state: str, seconds: float) -> None:
        """Add the time that the board spent in `state`."""
        self.seconds[state] = round(self.seconds.get(state, 0.0) + seconds, 1)


class _Day(msgspec.Struct):
    """The part of a day's file that the plots need."""

    slots: dict[int, PowerSlot] = {}


def slot_of(at: float) -> int:
    """Return the first second of the slot that contains `at` (seconds since 1970)."""
    return int(at // SLOT_S) * SLOT_S


def parts(first: float, last: float) -> Iterator[tuple[int, float]]:
    """Yield each slot between two times, with the number of seconds of the span that fall into it."""
    at = first
    while at < last:
        slot = slot_of(at)
        end = min(last, slot + SLOT_S)
        yield slot, end - at
        at = end


def read(folder: Path, newest: Path, *, first: float, last: float) -> dict[int, PowerSlot]:
    """Return the slots that begin between two times, by their first second.

    A file that cannot be read is left out: one that is torn, has another format, or is far too large.

    Args:
        folder: the folder with one file for each day.
        newest: the copy of today's file in tmpfs; it is at most a few minutes old.
        first: first second of the span (seconds since 1970).
        last: last second of the span.
    """
    found: dict[int, PowerSlot] = {}
    for path in (*_days(folder, first, last), newest):
        found |= {at: slot for at, slot in _slots(path).items() if first <= at <= last and at % SLOT_S == 0}
    return dict(sorted(found.items()))


def _days(folder: Path, first: float, last: float) -> Iterator[Path]:
    """Yield the files of the days between two times, and of the day before and the day after.

    The days before and after are needed because a file is named by the local date.
    """
    for number in range(-1, int((last - first) / _DAY_S) + 3):
        yield folder / f"{time.strftime('%Y-%m-%d', time.localtime(first + number * _DAY_S))}.json"


def _slots(path: Path) -> Mapping[int, PowerSlot]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return {}
        return stored.read(path, _Day).slots
    except (OSError, stored.BadContent):
        return {}
