"""Reads an external forecast: watts of the panel by hour, written by another program or service."""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.outlook import Outlook, Step
from edge.power.forecast.predict import solar

#: Hour since the epoch -> mean watts.
Hours: TypeAlias = dict[int, float]
_MOST_HOURS = 24 * 16
_LARGEST_W = 1e6
_SHORTEST_STEP_S = 60.0  # the steps of 16 days are then few enough for the thread of the governor
_HOUR_S = 3600.0
#: The forecast is used when the decayed number of compared days is at least this. It is reached on the seventh day,
#: because the number decays by 1 % a day, so that 7 days count as 6.79.
_LEAST_COUNT = 6.5
#: The forecast from outside is used while its error is below this share of the error of our forecast.
_BETTER = 0.97


class _Document(msgspec.Struct):
    """The document that a program writes, such as `{"start": 1796000400, "step_s": 3600, "watts": [0, 1.5, ...]}`."""

    start: float
    watts: list[float]
    step_s: float = _HOUR_S


def parse(text: str | bytes) -> Hours:
    """Return the mean watts of each hour that the document covers for at least 90 %.

    Values after the first 16 days are ignored. Raises ValueError with one line that says what is wrong.
    """
    try:
        found = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise ValueError(f"not a forecast: {err}") from err
    if not 0 <= found.start < 1e11:
        raise ValueError(f"start is {found.start:g}: expected seconds since 1970, 0 to 1e11")
    if not _SHORTEST_STEP_S <= found.step_s <= 86_400:
        raise ValueError(f"step_s is {found.step_s:g}: expected {_SHORTEST_STEP_S:g} to 86400")
    sums, seen = dict[int, float](), dict[int, float]()
    for number, watts in enumerate(found.watts[: int(_MOST_HOURS * _HOUR_S / found.step_s) + 1]):
        if not (math.isfinite(watts) and 0 <= watts <= _LARGEST_W):
            raise ValueError(f"watts[{number}] is {watts:g}: expected 0 to {_LARGEST_W:g}")
        at, end = found.start + number * found.step_s, found.start + (number + 1) * found.step_s
        while at < end:
            hour = int(at // _HOUR_S)
            part = min(end, (hour + 1) * _HOUR_S) - at
            sums[hour], seen[hour] = sums.get(hour, 0.0) + watts * part, seen.get(hour, 0.0) + part
            at += part
    hours = {hour: total / seen[hour] for hour, total in sums.items() if seen[hour] >= 0.9 * _HOUR_S}
    if not hours:
        raise ValueError("watts covers no whole hour")
    return hours


def day_wh(hours: Hours, number: int, place: Place) -> float | None:
    """Return the watt-hours of a solar day, or None if an hour of it is missing."""
    first = math.ceil(number * 24 - place.longitude / 15 - 0.5)
    found = [hours.get(hour) for hour in range(first, first + 24) if solar(hour, place)[0] == number]
    return None if any(each is None for each in found) else sum(each for each in found if each is not None)


def better(memory: PanelMemory) -> bool:
    """Return True if, over at least 7 days, the error of the forecast from outside is more than 3 % below ours."""
    ours, other = memory.ours.mean, memory.outside.mean
    return ours is not None and other is not None and memory.outside.count >= _LEAST_COUNT and other < _BETTER * ours


def instead(ours: Outlook, hours: Hours, memory: PanelMemory) -> Outlook:
    """Return `ours` with the watts from outside for each hour that they cover. The bounds keep their relative width.

    But the upper bound is at most twice the peak of the panel, if the forecast itself is not above that.
    """
    steps = list[Step]()
    for number, step in enumerate(ours.steps):
        watts = hours.get(int((ours.start + number * ours.step_s) // _HOUR_S))
        if watts is None:
            steps.append(step)
            continue
        low, high = (step.low / step.mid, step.high / step.mid) if step.mid > 0 else (1.0, 1.0)
        steps.append(Step(watts * low, watts, max(watts, min(watts * high, 2 * memory.peak))))
    return msgspec.structs.replace(ours, steps=tuple(steps), source="outside")
