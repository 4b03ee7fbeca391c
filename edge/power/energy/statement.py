"""Makes the energy statement of a month: receipts of the jobs, the board at rest, and what a power monitor measured.

It reads the daily files that governor and gateway write anyway. No file is kept for the statement alone.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable, Iterator, Mapping
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
_LARGEST_BYTES = 256 << 10
_MOST_NUMBER = 1e15  # limit for each number in a file (joules, seconds, jobs); a file with a larger number is damaged


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
    idle_watts = None if rest is None else rest.idle_watts
    return made(month, _drawn(layout, month), _receipts(layout, month, newest or {}), idle_watts=idle_watts)


def made(
    month: str, drawn: Mapping[str, Drawn], receipts: DayReceipts, *, idle_watts: float | None = None
) -> Statement:
    """Return the statement of a month from its daily sums.

    Args:
        month: year and month, such as `2026-11`.
        drawn: energy that the board drew, by date.
        receipts: energy that the jobs took, by date.
        idle_watts: draw of the board at rest, for days without a measurement, or None if it is not known.
    """
    dates = sorted({*drawn, *receipts})
    days, kinds, submitters, all_jobs, all_drawn = list[StatementLine](), _sums(), _sums(), Took(), Drawn()
    for date in dates:
        took, of_day = Took(), drawn.get(date) or Drawn()
        for kind, by_submitter in receipts.get(date, {}).items():
            for submitter, each in by_submitter.items():
                for sums in (took, kinds.setdefault(kind, Took()), submitters.setdefault(submitter, Took()), all_jobs):
                    sums.plus(each)
        days.append(_line(date, took, of_day, idle_watts))
        for name in all_drawn.__struct_fields__:
            setattr(all_drawn, name, getattr(all_drawn, name) + getattr(of_day, name))
    return Statement(
        month,
        tuple(days),
        tuple(_by_energy(kinds)),
        tuple(_by_energy(submitters)),
        _line("total", all_jobs, all_drawn, idle_watts),
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


def _line(name: str, took: Took, drawn: Drawn, idle_watts: float | None) -> StatementLine:
    """Return a line with the energy of jobs and board.

    The governor counts the energy of bodies in threads as energy of the idle board, because such bodies do not measure
    the board. It is subtracted here from the idle energy.
    """
    line = _jobs(name, took)
    if not drawn.seconds:
        if idle_watts is None or not drawn.idle_seconds:
            return line
        return msgspec.structs.replace(line, idle_wh=_wh(idle_watts * drawn.idle_seconds))
    idle = max(0.0, drawn.idle_joules - took.shared_joules)
    left = drawn.joules - took.joules - idle
    return msgspec.structs.replace(
        line,
        idle_wh=_wh(idle),
        board_wh=_wh(drawn.joules),
        board_sun_wh=_wh(drawn.sun_joules),
        board_battery_wh=_wh(drawn.battery_joules),
        board_mains_wh=_wh(drawn.mains_joules),
        left_percent=round(100 * left / drawn.joules, 1) if drawn.joules else None,
    )


def _wh(joules: float) -> float:
    return round(joules / _J_PER_WH, 4)


def _drawn(layout: Layout, month: str) -> dict[str, Drawn]:
    found = dict[str, Drawn]()
    for path in _files(layout.days, month):
        day = _read(path, _PowerDay)
        if day is not None and _sound(_numbers(day.drawn)):
            found[path.stem] = day.drawn
    # This file is at most a few minutes old. The file of today in `days` may be hours old.
    newest = _read(layout.today, _PowerDay)
    if newest is not None and newest.date.startswith(f"{month}-") and _sound(_numbers(newest.drawn)):
        found[newest.date] = newest.drawn
    return {date: drawn for date, drawn in found.items() if drawn.seconds or drawn.idle_seconds}


def _receipts(layout: Layout, month: str, newest: Mapping[str, DayReceipts]) -> DayReceipts:
    """Return the receipts of a month by local date. The files are named by the date in UTC."""
    found: DayReceipts = {}
    for path in _files(layout.activity, month, neighbours=True):
        day = _read(path, _JobDay)
        receipts = newest.get(path.stem) or ({} if day is None else day.receipts)
        for date, kinds in receipts.items():
            if not date.startswith(f"{month}-"):
                continue
            for kind, submitters in kinds.items():
                for submitter, took in submitters.items():
                    if _sound(_numbers(took)):
                        found.setdefault(date, {}).setdefault(kind, {}).setdefault(submitter, Took()).plus(took)
    return found


def _files(folder: Path, month: str, *, neighbours: bool = False) -> Iterator[Path]:
    """Yield the path for each day of a month; with `neighbours`, also for the day before and the day after."""
    first = calendar.timegm(time.strptime(f"{month}-01", "%Y-%m-%d"))
    count = calendar.monthrange(int(month[:4]), int(month[5:]))[1]
    for number in range(-1, count + 1) if neighbours else range(count):
        yield folder / f"{time.strftime('%Y-%m-%d', time.gmtime(first + number * 86_400))}.json"


def _read(path: Path, kind: type[T]) -> T | None:
    """Return the content of a file, or None if it is missing, damaged, of another form or over `_LARGEST_BYTES`."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return None
        return stored.read(path, kind)
    except (OSError, stored.BadContent):
        return None


def _numbers(record: msgspec.Struct) -> Iterator[float]:
    return (getattr(record, name) for name in record.__struct_fields__)


def _sound(numbers: Iterable[float]) -> bool:
    return all(0 <= number < _MOST_NUMBER for number in numbers)
