"""What power was like, a quarter of an hour at a time: written with each day's summary, read for the plots.

Times are slots of the wall clock, by their first second. A clock that was wrong leaves slots where they do not belong;
they are bounded in number, and a reader asks for those of a span only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from edge.model import Reading

SLOT_S = 900
#: Slots in one file at most: a day of 25 hours has 100. A clock that runs wild fills no card.
MOST_SLOTS = 120
_DAY_S = 86_400.0
_LARGEST_BYTES = 256 << 10  # of a file: a day takes 10 KB
_MOST = 1e12  # beyond it nothing is a sum of readings or their number; plots reckon with what is below
#: What is kept, by the name of the quantity. Of several sources that tell one, the first counts.
QUANTITIES = ("charge", "watts", "solar_watts", "temperature")


class Mean(msgspec.Struct, array_like=True):
    """A mean that grows."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """One more value."""
        self.total, self.count = round(self.total + value, 2), self.count + 1

    @property
    def value(self) -> float | None:
        """None while there is none, or where a file held nonsense."""
        if not 0 < self.count < _MOST or not abs(self.total) < _MOST:
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
        """Add one round of readings."""
        seen = set[str]()
        for reading in readings:
            if reading.what in QUANTITIES and reading.value is not None and reading.what not in seen:
                seen.add(reading.what)
                mean: Mean = getattr(self, reading.what)
                mean.add(reading.value)

    def lasted(self, state: str, seconds: float) -> None:
        """The board was so long in `state`."""
        self.seconds[state] = round(self.seconds.get(state, 0.0) + seconds, 1)


class _Day(msgspec.Struct):
    """What the plots need of a day's file."""

    slots: dict[int, PowerSlot] = {}


def slot_of(at: float) -> int:
    """The first second of the slot that `at` lies in."""
    return int(at // SLOT_S) * SLOT_S


def parts(first: float, last: float) -> Iterator[tuple[int, float]]:
    """The slots between two times, each with the seconds that lie in it."""
    at = first
    while at < last:
        slot = slot_of(at)
        end = min(last, slot + SLOT_S)
        yield slot, end - at
        at = end


def read(folder: Path, newest: Path, *, first: float, last: float) -> dict[int, PowerSlot]:
    """The slots that begin between two times, from the files of days in `folder`.

    `newest` has the same for today, up to a few minutes ago. What cannot be read is left out: a file that is torn, odd,
    or far too large.
    """
    found: dict[int, PowerSlot] = {}
    for path in (*_days(folder, first, last), newest):
        found |= {at: slot for at, slot in _slots(path).items() if first <= at <= last and at % SLOT_S == 0}
    return dict(sorted(found.items()))


def _days(folder: Path, first: float, last: float) -> Iterator[Path]:
    """The files of the days between two times, and of those beside them: a file is named by the local date."""
    for number in range(-1, int((last - first) / _DAY_S) + 3):
        yield folder / f"{time.strftime('%Y-%m-%d', time.localtime(first + number * _DAY_S))}.json"


def _slots(path: Path) -> Mapping[int, PowerSlot]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return {}
        return msgspec.json.decode(path.read_bytes(), type=_Day).slots
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
