"""Makes the energy statement of a month: receipts of the jobs, the board at rest, and what a power monitor measured.

It reads the daily files that governor and gateway write anyway. No file is kept for the statement alone.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.core import stored
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.model import DayReceipts, Statement, StatementLine, Took
from edge.power.energy import calibration
from edge.power.energy.drawn import Drawn

T = TypeVar("T")

MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
_J_PER_WH = 3600.0
#: Receipts and idle energy are compared with the measured energy of a day that was measured for at least this time.
#: The energies of governor and gateway are up to 5 min apart.
_LEAST_MEASURED_S = 3600.0
_MOST_UNMEASURED = 0.05  # and whose time without a measurement is at most this share of the measured time
_LARGEST_BYTES = 256 << 10
_MOST_NUMBER = 1e15  # limit for each number in a file (joules, seconds, jobs); a file with a larger number is damaged


@dataclass
class _Energies:
    """The energies of a day, or of all days of a month, in joules."""

    took: Took = field(default_factory=Took)  # by the jobs
    drawn: Drawn = field(default_factory=Drawn)  # by the board, as measured
    idle: float | None = None  # by the board without jobs; None if it is not known
    compared: float = 0.0  # part of the measured energy that can be compared with receipts and idle energy
    left: float = 0.0  # part of `compared` that these do not explain

    def plus(self, day: _Energies) -> None:
        """Add a day."""
        self.took.plus(day.took)
        for name in self.drawn.__struct_fields__:
            setattr(self.drawn, name, getattr(self.drawn, name) + getattr(day.drawn, name))
        if day.idle is not None:
            self.idle = day.idle + (self.idle or 0.0)
        self.compared += day.compared
        self.left += day.left


class _PowerDay(msgspec.Struct):
    """The fields of `power/days/DATE.json` that the statement uses."""

    date: str = ""
    drawn: Drawn = msgspec.field(default_factory=Drawn)


class _JobDay(msgspec.Struct):
    """The field of `activity/DATE.json` that the statement uses."""

    receipts: DayReceipts = {}


def this_month() -> str:
    """Return the present month in local time, such as `2026-11`."""
    return time.strftime("%Y-%m", time.localtime())


def of_month(layout: Layout, month: str, *, newest: Mapping[str, DayReceipts] | None = None) -> Statement:
    """Return the statement of a month. Reads at most 70 small files.

    Args:
        layout: the folders of the board.
        month: year and month, such as `2026-11`.
        newest: the latest receipts by date (UTC). They replace those of the file of that date, which may be hours old.

    Raises:
        UsageError: `month` is not a year and a month.
    """
    if not MONTH.fullmatch(month):
        raise UsageError(f"month {month[:40]!r}: expected a year and a month, such as 2026-11")
    rest = calibration.read(layout.calibration)
    idle_watts, unreadable = None if rest is None else rest.idle_watts, list[str]()
    drawn = _drawn(layout, month, unreadable)
    receipts = _receipts(layout, month, newest or {}, unreadable)
    return made(month, drawn, receipts, idle_watts=idle_watts, unreadable=unreadable)


def made(
    month: str,
    drawn: Mapping[str, Drawn],
    receipts: DayReceipts,
    *,
    idle_watts: float | None = None,
    unreadable: Sequence[str] = (),
) -> Statement:
    """Return the statement of a month from its daily sums.

    Args:
        month: year and month, such as `2026-11`.
        drawn: energy that the board drew, by date.
        receipts: energy that the jobs took, by date.
        idle_watts: draw of the board at rest, for days without a measurement, or None if it is not known.
        unreadable: names of the files that are left out because they are damaged.
    """
    days, kinds, submitters, total = list[StatementLine](), _sums(), _sums(), _Energies()
    for date in sorted({*drawn, *receipts}):
        took = Took()
        for kind, by_submitter in receipts.get(date, {}).items():
            for submitter, each in by_submitter.items():
                for sums in (took, kinds.setdefault(kind, Took()), submitters.setdefault(submitter, Took())):
                    sums.plus(each)
        energies = _energies(took, drawn.get(date) or Drawn(), idle_watts)
        days.append(_line(date, energies))
        total.plus(energies)
    return Statement(
        month,
        tuple(days),
        tuple(_by_energy(kinds)),
        tuple(_by_energy(submitters)),
        _line("total", total),
        unreadable=tuple(unreadable),
    )


def _sums() -> dict[str, Took]:
    return {}


def _by_energy(sums: Mapping[str, Took]) -> Iterator[StatementLine]:
    for name, took in sorted(sums.items(), key=lambda item: (-item[1].joules, item[0])):
        yield _jobs(name, took)


def _jobs(name: str, took: Took) -> StatementLine:
    return StatementLine(
        name,
        jobs=took.jobs,
        seconds=round(took.seconds, 1),
        jobs_wh=_wh(took.joules),
        measured_wh=_wh(took.measured_joules),
        sun_wh=_wh(took.sun_joules),
        battery_wh=_wh(took.battery_joules),
        mains_wh=_wh(took.mains_joules),
    )


def _energies(took: Took, drawn: Drawn, idle_watts: float | None) -> _Energies:
    """Return the energies of one day.

    The governor counts the energy of bodies in threads as energy of the idle board, because such bodies do not measure
    the board. It is subtracted here from the idle energy.
    """
    if not drawn.seconds:
        idle = None if idle_watts is None or not drawn.idle_seconds else idle_watts * drawn.idle_seconds
        return _Energies(took, drawn, idle)
    idle = max(0.0, drawn.idle_joules - took.shared_joules)
    if drawn.seconds < _LEAST_MEASURED_S or drawn.unmeasured_seconds > _MOST_UNMEASURED * drawn.seconds:
        return _Energies(took, drawn, idle)
    return _Energies(took, drawn, idle, compared=drawn.joules, left=drawn.joules - took.joules - idle)


def _line(name: str, energies: _Energies) -> StatementLine:
    """Return a line with the energy of jobs and board."""
    line, drawn = _jobs(name, energies.took), energies.drawn
    if energies.idle is not None:
        line = msgspec.structs.replace(line, idle_wh=_wh(energies.idle))
    if not drawn.seconds:
        return line
    return msgspec.structs.replace(
        line,
        board_wh=_wh(drawn.joules),
        board_sun_wh=_wh(drawn.sun_joules),
        board_battery_wh=_wh(drawn.battery_joules),
        board_mains_wh=_wh(drawn.mains_joules),
        left_percent=round(100 * energies.left / energies.compared, 1) if energies.compared else None,
    )


def _wh(joules: float) -> float:
    return round(joules / _J_PER_WH, 4)


def _drawn(layout: Layout, month: str, unreadable: list[str]) -> dict[str, Drawn]:
    """Return the energy that the board drew, by date. Adds the files that cannot be used to `unreadable`."""
    found = dict[str, Drawn]()
    for path in _files(layout.days, month):
        day = _read(path, _PowerDay, unreadable)
        if day is not None and _all_sound((day.drawn,), path, unreadable):
            found[path.stem] = day.drawn
    # While the governor runs, this file is newer than that of today in `days`. After its stop it may be older.
    newest = _read(layout.today, _PowerDay, unreadable)
    if newest is not None and newest.date.startswith(f"{month}-") and _sound(newest.drawn):
        earlier = found.get(newest.date) or Drawn()
        found[newest.date] = max(earlier, newest.drawn, key=lambda drawn: drawn.seconds + drawn.unmeasured_seconds)
    return {date: drawn for date, drawn in found.items() if drawn.seconds or drawn.idle_seconds}


def _receipts(layout: Layout, month: str, newest: Mapping[str, DayReceipts], unreadable: list[str]) -> DayReceipts:
    """Return the receipts of a month by local date. The files are named by the date in UTC.

    Adds the files that cannot be used, as a whole or in part, to `unreadable`.
    """
    found: DayReceipts = {}
    for path in _files(layout.activity, month, neighbours=True):
        day = _read(path, _JobDay, unreadable)
        receipts = newest.get(path.stem) or ({} if day is None else day.receipts)
        used = list[tuple[str, str, str, Took]]()
        for date, kinds in receipts.items():
            if date.startswith(f"{month}-"):
                for kind, submitters in kinds.items():
                    used += [(date, kind, submitter, took) for submitter, took in submitters.items()]
        _all_sound([took for *_, took in used], path, unreadable)
        for date, kind, submitter, took in used:
            if _sound(took):
                found.setdefault(date, {}).setdefault(kind, {}).setdefault(submitter, Took()).plus(took)
    return found


def _files(folder: Path, month: str, *, neighbours: bool = False) -> Iterator[Path]:
    """Yield the path for each day of a month; with `neighbours`, also for the day before and the day after."""
    first = calendar.timegm(time.strptime(f"{month}-01", "%Y-%m-%d"))
    count = calendar.monthrange(int(month[:4]), int(month[5:]))[1]
    for number in range(-1, count + 1) if neighbours else range(count):
        yield folder / f"{time.strftime('%Y-%m-%d', time.gmtime(first + number * 86_400))}.json"


def _read(path: Path, kind: type[T], unreadable: list[str]) -> T | None:
    """Return the content of a file, or None if it is missing, damaged, of another form or over `_LARGEST_BYTES`.

    Adds its name to `unreadable` unless it is missing.
    """
    try:
        if path.stat().st_size <= _LARGEST_BYTES:
            return stored.read(path, kind)
    except FileNotFoundError:
        return None
    except (OSError, stored.BadContent):
        pass
    unreadable.append(_name(path))
    return None


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _all_sound(records: Iterable[msgspec.Struct], path: Path, unreadable: list[str]) -> bool:
    """Return True if all records are sound. Otherwise add the name of their file to `unreadable`."""
    if all(map(_sound, records)):
        return True
    unreadable.append(_name(path))
    return False


def _sound(record: msgspec.Struct) -> bool:
    """Return False if a number of a record cannot be true, so its file is damaged."""
    return all(0 <= getattr(record, name) < _MOST_NUMBER for name in record.__struct_fields__)
