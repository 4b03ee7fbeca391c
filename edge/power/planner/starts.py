"""Estimates when a waiting job starts: the most likely time, and an interval that holds in four of five cases.

    expected_starts(...) -> seconds since the epoch, one for each job
    interval(memory, now, likely, power) -> Interval
    came_true(memory, interval, started_at) -> memory

The expected start follows queue, battery and forecast, by the same rule as the plan. The errors of earlier estimates
are learned from the real starts. So the interval holds in four of five cases, whatever causes the errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edge.model import Power
from edge.power.forecast.outlook import Outlook
from edge.power.planner.path import watts
from edge.power.planner.records import Battery, BoardModel

_STEP_S = 600.0
_SAME_S = 60.0  # jobs with less work between them get the same time, which bounds the cost of a large batch
#: Upper bounds of the classes of waits, in seconds. The errors of each are learned separately, for each power class.
CLASSES = (1800.0, 2 * 3600.0, 6 * 3600.0, 14 * 3600.0, 30 * 3600.0, math.inf)
#: Position of the errors of a power class in `StartMemory.misses`. Files of earlier versions have the first only.
_POSITION = {Power.NORMAL: 0, Power.SURPLUS: 1, Power.ALWAYS: 2}
#: No interval is reported for a shorter wait, because the job is about to start.
LEAST_S = 600.0
_OFFSET_S = 600.0  # added to both waits: keeps the ratio of short waits near 1
_LEARN_RATE = 0.1
_DECAY = 0.9995


class Interval(msgspec.Struct, frozen=True):
    """Expected start of a job, in seconds since the epoch. Four of five jobs start between `early` and `late`."""

    told_at: float  # when the estimate was made
    early: float
    likely: float
    late: float
    number: int = 0  # index into `StartMemory.misses`


class Miss(msgspec.Struct, frozen=True, array_like=True):
    """The 10 % and 90 % quantiles of log(real wait / expected wait)."""

    low: float = -0.7
    high: float = 0.7


class StartMemory(msgspec.Struct, frozen=True):
    """Errors that were learned from the intervals and the real starts."""

    misses: tuple[Miss, ...] = (Miss(),) * (len(CLASSES) * len(_POSITION))
    held: float = 0.0  # decaying number of intervals that held
    count: float = 0.0  # decaying number of all intervals

    @property
    def hit_rate(self) -> float | None:
        """Share of the intervals that held, or None before the first one. The aim is 0.8."""
        return self.held / self.count if self.count >= 1 else None


class Surplus(msgspec.Struct, frozen=True):
    """What jobs of class `surplus` wait for."""

    percent: float  # charge at which surplus power begins
    rich: bool  # power is surplus now
    others_s: float = 0.0  # seconds of work of the other classes, which runs before theirs
    normal_from: float = math.inf  # time from which normal power is enough for them, in epoch seconds


def restored(memory: StartMemory) -> StartMemory:
    """Return a memory from a file with all its errors, or a new one if the file does not fit this version."""
    fresh = StartMemory()
    if len(memory.misses) == len(CLASSES):  # written before other classes than `normal` were learned
        return msgspec.structs.replace(memory, misses=memory.misses + fresh.misses[len(CLASSES) :])
    return memory if len(memory.misses) == len(fresh.misses) else fresh


def limits(power: Power, *, floor: float, gap: float, critical: float) -> tuple[float, float]:
    """Return the charges in percent at which work of a power class stops and resumes.

    Args:
        power: the power class.
        floor: charge at which the plan stops work of class `normal`.
        gap: how far above the floor this work resumes.
        critical: charge at which the board powers off.
    """
    if power is Power.ALWAYS:
        return critical, critical + (floor - critical) / 4  # as in `Band.levels`
    return floor, floor + gap


def expected_starts(
    now: float,
    outlook: Outlook,
    battery: Battery,
    *,
    ahead_s: Sequence[float],
    board: BoardModel,
    floor_percent: float,
    resume_percent: float,
    working: bool,
    sleeps: bool,
    bodies: int = 1,
    surplus: Surplus | None = None,
) -> list[float | None]:
    """Return when each job can start, in epoch seconds, or None if that is after the end of the forecast.

    A job can start when the work before it is done and there is power for it.

    Args:
        now: seconds since the epoch.
        outlook: the forecast of the panel.
        battery: the stored energy.
        ahead_s: for each job the seconds of work of its class before it, if one job ran at a time; never falling.
        board: the draw of the board.
        floor_percent: charge at which work stops.
        resume_percent: charge at which work resumes.
        working: True if work is allowed now.
        sleeps: True if the board sleeps while there is no power for work.
        bodies: number of jobs that run at the same time.
        surplus: set if the jobs wait for surplus power.
    """
    stored, most = battery.stored_wh, battery.capacity_wh
    floor_wh, resume_wh = floor_percent / 100 * most, resume_percent / 100 * most
    rich, others_s, rich_wh, poor_wh = True, 0.0, 0.0, 0.0
    if surplus is not None:
        rich, others_s, rich_wh = surplus.rich, surplus.others_s / max(1, bodies), surplus.percent / 100 * most
        poor_wh = rich_wh - (rich_wh - floor_wh) / 12  # as in `Band.levels`
    at, done_s, found = now, 0.0, list[float | None]()
    while at < outlook.end and len(found) < len(ahead_s):
        working = stored > floor_wh if working else stored >= resume_wh
        rich = stored >= poor_wh if rich else stored >= rich_wh
        span_s, draw = _STEP_S, board.off_w if sleeps else board.idle_w
        if working and others_s > 0:
            span_s, draw = min(span_s, others_s), board.busy_w
            others_s -= span_s
        elif working and (rich or (surplus is not None and at >= surplus.normal_from)):
            while len(found) < len(ahead_s) and ahead_s[len(found)] / max(1, bodies) - done_s < _SAME_S:
                found.append(at)
            if len(found) == len(ahead_s):
                break
            span_s, draw = min(span_s, ahead_s[len(found)] / max(1, bodies) - done_s), board.busy_w
            done_s += span_s
        stored = min(most, max(0.0, stored + (watts(outlook, at) - draw) * span_s / 3600))
        at += span_s
    return found + [None] * (len(ahead_s) - len(found))


def interval(memory: StartMemory, now: float, likely: float, power: Power = Power.NORMAL) -> Interval:
    """Return the interval around `likely`, which is clamped to the bounds. `now` and `likely` are epoch seconds."""
    number = class_of(likely - now) + _POSITION[power] * len(CLASSES)
    miss, wait_s = memory.misses[number], likely - now + _OFFSET_S
    early = max(now, now + wait_s * math.exp(miss.low) - _OFFSET_S)
    late = now + wait_s * math.exp(miss.high) - _OFFSET_S
    late = max(early, late)
    return Interval(now, early, min(max(likely, early), late), late, number)


def came_true(memory: StartMemory, issued: Interval, started_at: float) -> StartMemory:
    """Return the memory with one more start.

    Args:
        memory: errors that were learned before.
        issued: the interval that was reported for the job.
        started_at: when the job started, in epoch seconds.
    """
    number = issued.number
    miss, early, late = memory.misses[number], started_at < issued.early, started_at > issued.late
    low = miss.low + _LEARN_RATE * (-0.9 if early else 0.1)
    high = miss.high + _LEARN_RATE * (0.9 if late else -0.1)
    misses = (*memory.misses[:number], Miss(max(-5.0, min(1.0, low)), max(-1.0, min(3.0, high))))
    held = memory.held * _DECAY + (not early and not late)
    return StartMemory((*misses, *memory.misses[number + 1 :]), held, memory.count * _DECAY + 1)


def class_of(wait_s: float) -> int:
    """Return the index into CLASSES for a wait in seconds."""
    return next(number for number, bound in enumerate(CLASSES) if wait_s < bound or bound == math.inf)
