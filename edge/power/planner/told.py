"""`run/governor/outlook.json`: forecast and board model, written by the governor for the gateway's start times."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.host import boot_id
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.outlook import Outlook
from edge.power.planner.records import BoardModel


class ForecastScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """How good the forecast was lately. Energy is of a day, in watt-hours."""

    days: int = 0  # that were learned from
    error_wh: float | None = None  # mean error of the day's energy, forecast at its beginning
    as_yesterday_wh: float | None = None  # the same of "as yesterday"
    outside_wh: float | None = None  # the same of the forecast from outside
    below_p10: float | None = None  # share of the hours that gave less than their P10; the aim is 0.1


class Told(msgspec.Struct, frozen=True):
    """Written each hour while the board looks ahead."""

    boot_id: str
    outlook: Outlook | None
    board: BoardModel
    battery_wh: float
    scores: ForecastScores
    place: Place | None = None
    sleeps: bool = False  # while there is no power for work


def scores(memory: PanelMemory) -> ForecastScores:
    """The scores that `memory` has."""
    means = [each.mean for each in (memory.ours, memory.as_yesterday, memory.outside, memory.below_low)]
    ours, yesterday, outside, below = (None if each is None else round(each, 3) for each in means)
    return ForecastScores(memory.days, ours, yesterday, outside, below)


def write(path: Path, told: Told) -> None:
    """Put it there. Raises OSError."""
    durable.replace_volatile(path, msgspec.json.encode(told))


def read(path: Path) -> Told | None:
    """Return what the governor of this boot wrote, or None if there is nothing."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Told)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.boot_id == boot_id() else None
