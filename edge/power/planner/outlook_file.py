"""Reads and writes `run/governor/outlook.json`: forecast and board model.

The governor writes the file. The gateway reads it to estimate when jobs start.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.host import boot_id
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.outlook import Outlook
from edge.power.planner.records import BoardModel


class ForecastScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Recent quality of the forecast. Errors are mean absolute errors of a day's energy, in watt-hours."""

    days: int = 0  # number of days that were learned
    error_wh: float | None = None  # error of our forecast at the beginning of the day
    as_yesterday_wh: float | None = None  # error of the forecast "as yesterday"
    outside_wh: float | None = None  # error of the forecast from outside
    below_p10: float | None = None  # share of the hours below the P10 of their forecast; the aim is 0.1


class OutlookReport(msgspec.Struct, frozen=True):
    """Content of the file, which is written each hour while the board makes forecasts."""

    boot_id: str
    outlook: Outlook | None
    board: BoardModel
    battery_wh: float  # size of the battery
    scores: ForecastScores
    place: Place | None = None
    sleeps: bool = False  # the board sleeps while there is no power for work
    surplus_percent: float = 90.0  # charge at which surplus power begins
    critical_percent: float = 10.0  # charge at which the board powers off


def scores(memory: PanelMemory) -> ForecastScores:
    """Return the scores in `memory`, rounded."""
    means = [each.mean for each in (memory.ours, memory.as_yesterday, memory.outside, memory.below_low)]
    ours, yesterday, outside, below = (None if each is None else round(each, 3) for each in means)
    return ForecastScores(memory.days, ours, yesterday, outside, below)


def write(path: Path, report: OutlookReport) -> None:
    """Write the file. Raises OSError."""
    durable.replace_volatile(path, msgspec.json.encode(report))


def read(path: Path) -> OutlookReport | None:
    """Return the content of the file, or None if it is missing, damaged or from an earlier boot."""
    try:
        found = stored.read(path, OutlookReport)
    except (OSError, stored.BadContent):
        return None
    return found if found.boot_id == boot_id() else None
