"""Keeps a summary of each day's power: one small file a day on disk, written every two hours and at the end.

The plots read a copy of today's file in tmpfs. It is at most a few minutes old and costs no writes to the card.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.model import Mix, PowerState, Reading
from edge.power import series
from edge.power.energy.drawn import Drawn
from edge.power.series import PowerSlot

#: The gateway writes its part of the plots at the same interval. Together this is at most one small write an hour.
_WRITE_EVERY_S = 2 * 3600.0
_SHOW_EVERY_S = 300.0
_LONGEST_GAP_S = 3600.0  # after a longer gap between two samples the board was off, and the gap counts for no state


class Range(msgspec.Struct):
    """The lowest and highest value of one quantity on a day, with the sum and number of its values."""

    low: float
    high: float
    total: float
    count: int
    unknown: int = 0


class Day(msgspec.Struct):
    """The summary of one day.

    It has the seconds in each state, the number of falls of power, the range of each quantity, the means for each
    quarter of an hour, and the energy that the board drew.
    """

    date: str
    seconds: dict[str, float] = {}
    falls: int = 0
    ranges: dict[str, Range] = {}
    slots: dict[int, PowerSlot] = {}
    drawn: Drawn = msgspec.field(default_factory=Drawn)


class Days:
    """Adds samples to the summary of their day. Belongs to the governor's thread.

    A sample is left out if the wall clock cannot be trusted, since its day is not known.
    """

    def __init__(self, folder: Path, *, keep: int = 400, shown: Path | None = None) -> None:
        """Open no file yet.

        Args:
            folder: the folder with one file for each day.
            keep: number of days that are kept; 0 keeps no summaries at all.
            shown: the copy of today's file in tmpfs, or None for no copy.
        """
        self.folder, self.keep, self._shown = folder, keep, shown
        self._shown_at = float("-inf")
        self._day: Day | None = None
        self._last: tuple[float, PowerState] | None = None
        self._written = 0.0
        self._drawn_at: float | None = None

    def add(self, now: float, wall: float | None, state: PowerState, readings: Iterable[Reading]) -> None:
        """Add one sample. Raises OSError if a day cannot be written.

        Args:
            now: monotonic seconds.
            wall: seconds since 1970, or None if the wall clock cannot be trusted.
            state: the power state from this sample on.
            readings: the readings of the sample.
        """
        last, self._last = self._last, (now, state)
        if wall is None or not self.keep:
            return
        date = _date(wall)
        since = wall - (now - last[0]) if last is not None and now - last[0] <= _LONGEST_GAP_S else wall
        if self._day is None or self._day.date != date:
            midnight = time.mktime(time.strptime(date, "%Y-%m-%d"))
            if self._day is not None and last is not None and self._day.date == _date(since):
                _add_time(self._day, last[1], since, midnight)
            since = max(since, midnight)
            try:
                self.flush()
            finally:  # if the card refuses the write, the old day is lost and the error is reported once
                self._day, self._written = self._load(date), now
        day = self._day
        if last is not None:
            _add_time(day, last[1], since, wall)
        good = (PowerState.NORMAL, PowerState.SURPLUS)
        if last is not None and last[1] in good and state not in good:
            day.falls += 1
        readings = tuple(readings)
        for reading in readings:
            self._range(day, reading)
        if (slot := _slot(day, series.slot_of(wall))) is not None:
            slot.read(readings)
        self._show(day, now)
        if now - self._written >= _WRITE_EVERY_S:
            self._written = now
            self.flush()

    def add_energy(self, now: float, wall: float | None, *, watts: float | None, mix: Mix | None, busy: bool) -> None:
        """Add the energy that the board drew since the last sample. Call it after `add` for the same sample.

        The power of a sample counts for the time before it, as in the metering of a job, where a reading counts only
        while the job runs.

        Args:
            now: monotonic seconds.
            wall: seconds since 1970, or None if the wall clock cannot be trusted.
            watts: power that the board draws, or None if it is not measured.
            mix: shares of sun, battery and mains in that power, or None if they are not known.
            busy: True while a body runs to which the watts of the whole board are booked.
        """
        last, self._drawn_at = self._drawn_at, now
        if last is not None and wall is not None and self._day is not None and 0 < now - last <= _LONGEST_GAP_S:
            self._day.drawn.add(now - last, watts=watts, mix=mix, busy=busy)

    def flush(self) -> None:
        """Write the summary of the day so far; it is durable on return. Raises OSError.

        The copy in tmpfs is written too, because readers prefer it. It must not be older than the summary.
        """
        if self._day is None:
            return
        self._write_shown(self._day)
        durable.make_folder(self.folder)
        durable.replace(self.folder / f"{self._day.date}.json", msgspec.json.encode(self._day))
        # Remove the files whose dates are farthest from today, not the oldest ones: if the clock was years ahead for a
        # while, its files must not displace those of the true days.
        today = _day_number(self._day.date)
        files = sorted(self.folder.glob("????-??-??.json"), key=lambda path: abs(_day_number(path.stem) - today))
        for far in files[self.keep :]:
            far.unlink(missing_ok=True)

    def _load(self, date: str) -> Day:
        try:
            day = stored.read(self.folder / f"{date}.json", Day)
        except (OSError, stored.BadContent):
            return Day(date)
        # With another date in it, each sample would be a change of the day, and a write to the card.
        return day if day.date == date else Day(date)

    def _show(self, day: Day, now: float) -> None:
        if self._shown is None or now - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = now
        self._write_shown(day)

    def _write_shown(self, day: Day) -> None:
        if self._shown is not None:
            with suppress(OSError):  # if tmpfs is full, the plots end at an earlier time
                durable.replace_volatile(self._shown, msgspec.json.encode(day))

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


def _date(at: float) -> str:
    """Return the local date of a time in seconds since 1970."""
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _add_time(day: Day, state: PowerState, first: float, last: float) -> None:
    """Add the time between two moments of this day to its total, and to each slot that it covers."""
    if last <= first:
        return
    day.seconds[state] = round(day.seconds.get(state, 0.0) + last - first, 3)
    for at, seconds in series.parts(first, last):
        if (slot := _slot(day, at)) is not None:
            slot.add_time(state, seconds)


def _slot(day: Day, at: int) -> PowerSlot | None:
    """Return the slot that begins at `at`. A new one is made, or None is returned if the day has too many."""
    if at not in day.slots and len(day.slots) < series.MOST_SLOTS:
        day.slots[at] = PowerSlot()
    return day.slots.get(at)


def _day_number(date: str) -> int:
    """Return the days from 1970 to a date. A file name that is not a date counts as the oldest."""
    try:
        return calendar.timegm(time.strptime(date, "%Y-%m-%d")) // 86_400
    except ValueError:
        return -(1 << 40)
