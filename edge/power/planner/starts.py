"""Estimates when a waiting job starts: the most likely time, and an interval that holds in four of five cases.

    expected_start(...) -> seconds since the epoch
    interval(memory, now, likely) -> Interval
    came_true(memory, interval, started_at) -> memory

The expected start follows queue, battery and forecast, by the same rule as the plan. The errors of earlier estimates
are learned from the real starts. So the interval holds in four of five cases, whatever causes the errors.
"""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.outlook import Outlook
from edge.power.planner.path import watts
from edge.power.planner.records import Battery, BoardModel

_STEP_S = 600.0
#: Upper bounds of the classes of waits, in seconds. The errors of each class are learned separately.
CLASSES = (1800.0, 2 * 3600.0, 6 * 3600.0, 14 * 3600.0, 30 * 3600.0, math.inf)
#: No interval is reported for a shorter wait, because the job is about to start.
LEAST_S = 600.0
_OFFSET_S = 600.0  # added to both waits: keeps the ratio of short waits near 1
_LEARN_RATE = 0.05
_DECAY = 0.9995


class Interval(msgspec.Struct, frozen=True):
    """Expected start of a job, in seconds since the epoch. Four of five jobs start between `early` and `late`."""

    told_at: float  # when the estimate was made
    early: float
    likely: float
    late: float
    number: int = 0  # index into CLASSES


class Miss(msgspec.Struct, frozen=True, array_like=True):
    """The 10 % and 90 % quantiles of log(real wait / expected wait)."""

    low: float = -0.7
    high: float = 0.7


class StartMemory(msgspec.Struct, frozen=True):
    """Errors that were learned from the intervals and the real starts."""

    misses: tuple[Miss, ...] = (Miss(),) * len(CLASSES)
    held: float = 0.0  # decaying number of intervals that held
    count: float = 0.0  # decaying number of all intervals

    @property
    def whole(self) -> bool:
        """False if the memory comes from a file of another version."""
        return len(self.misses) == len(CLASSES)

    @property
    def hit_rate(self) -> float | None:
        """Share of the intervals that held, or None before the first one. The aim is 0.8."""
        return self.held / self.count if self.count >= 1 else None


def expected_start(
    now: float,
    outlook: Outlook,
    battery: Battery,
    *,
    ahead_s: float,
    board: BoardModel,
    floor_percent: float,
    resume_percent: float,
    working: bool,
    sleeps: bool,
    bodies: int = 1,
) -> float | None:
    """Return when a job can start, in epoch seconds, or None if that is after the end of the forecast.

    A job can start when the work before it is done and there is power for it.

    Args:
        now: seconds since the epoch.
        outlook: the forecast of the panel.
        battery: the stored energy.
        ahead_s: seconds of work before the job, if one job ran at a time.
        board: the draw of the board.
        floor_percent: charge at which work stops.
        resume_percent: charge at which work resumes.
        working: True if work is allowed now.
        sleeps: True if the board sleeps while there is no power for work.
        bodies: number of jobs that run at the same time.
    """
    stored, most = battery.stored_wh, battery.capacity_wh
    floor_wh, resume_wh = floor_percent / 100 * most, resume_percent / 100 * most
    at, left_s = now, ahead_s / max(1, bodies)
    while at < outlook.end:
        working = stored > floor_wh if working else stored >= resume_wh
        span_s = _STEP_S
        if working:
            if left_s <= 0:
                return at
            span_s = min(span_s, left_s)
            left_s -= span_s
        draw = board.busy_w if working else board.off_w if sleeps else board.idle_w
        stored = min(most, max(0.0, stored + (watts(outlook, at) - draw) * span_s / 3600))
        at += span_s
    return None


def interval(memory: StartMemory, now: float, likely: float) -> Interval:
    """Return the interval around `likely`, which is clamped to the bounds. `now` and `likely` are epoch seconds."""
    number = class_of(likely - now)
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
