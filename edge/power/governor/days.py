"""What each day's power was like: one small file a day on disk, written a few times a day and at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.core import durable
from edge.model import PowerState, Reading

_WRITE_EVERY_S = 6 * 3600.0
_LONGEST_GAP_S = 3600.0  # a board that slept through longer was not in a state, it was off


class Range(msgspec.Struct):
    """One quantity over a day."""

    low: float
    high: float
    total: float
    count: int
    unknown: int = 0


class Day(msgspec.Struct):
    """One day: seconds in each state, how often power fell, the range of each quantity."""

    date: str
    seconds: dict[str, float] = {}
    falls: int = 0
    ranges: dict[str, Range] = {}


class Days:
    """Adds samples to the day they belong to. A clock nobody set belongs to no day."""

    def __init__(self, folder: Path, *, keep: int = 400) -> None:
        self.folder, self.keep = folder, keep
        self._day: Day | None = None
        self._last: tuple[float, PowerState] | None = None
        self._written = 0.0

    def add(self, now: float, wall: float | None, state: PowerState, readings: Iterable[Reading]) -> None:
        """One sample; `wall` is None where the clock cannot be trusted. Raises OSError when a day cannot be written."""
        last, self._last = self._last, (now, state)
        if wall is None or not self.keep:
            return
        date = time.strftime("%Y-%m-%d", time.localtime(wall))
        if self._day is None or self._day.date != date:
            try:
                self.flush()
            finally:  # a card that takes no writes costs that day, and is reported once
                self._day, self._written = self._load(date), now
        day = self._day
        if last is not None and now - last[0] <= _LONGEST_GAP_S:
            day.seconds[last[1]] = round(day.seconds.get(last[1], 0.0) + now - last[0], 3)
        good = (PowerState.NORMAL, PowerState.SURPLUS)
        if last is not None and last[1] in good and state not in good:
            day.falls += 1
        for reading in readings:
            self._range(day, reading)
        if now - self._written >= _WRITE_EVERY_S:
            self._written = now
            self.flush()

    def flush(self) -> None:
        """Write the day so far; durable on return. Raises OSError."""
        if self._day is None:
            return
        durable.make_folder(self.folder)
        durable.replace(self.folder / f"{self._day.date}.json", msgspec.json.encode(self._day))
        for old in sorted(self.folder.glob("????-??-??.json"))[: -self.keep]:
            old.unlink(missing_ok=True)

    def _load(self, date: str) -> Day:
        try:
            return msgspec.json.decode((self.folder / f"{date}.json").read_bytes(), type=Day)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Day(date)

    def _range(self, day: Day, reading: Reading) -> None:
        key, value = f"{reading.source}/{reading.what}", reading.value
        extent = day.ranges.get(key)
        if value is None:
            if extent is not None:
                extent.unknown += 1
        elif extent is None:
            day.ranges[key] = Range(value, value, value, 1)
        else:
            extent.low, extent.high = min(extent.low, value), max(extent.high, value)
            extent.total, extent.count = round(extent.total + value, 3), extent.count + 1
