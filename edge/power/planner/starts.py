"""When a job that waits is going to start: most likely, and between which times in four of five cases.

    expected_start(...) -> seconds since the epoch
    interval(memory, now, likely) -> Interval
    came_true(memory, interval, started_at) -> memory

The expected start follows queue, battery and forecast along the plan's own rule. How far such times are off is learned
from what came true, so that the interval holds in four of five cases whatever the reasons are.
"""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast.outlook import Outlook
from edge.power.planner.path import watts
from edge.power.planner.records import Battery, BoardModel

_STEP_S = 600.0
#: Bounds of the waits, in seconds, that are learned apart.
CLASSES = (1800.0, 2 * 3600.0, 6 * 3600.0, 14 * 3600.0, 30 * 3600.0, math.inf)
#: A shorter wait is not told as an interval: the job is about to start.
LEAST_S = 600.0
_OFFSET_S = 600.0  # added to both waits: keeps the ratio of short waits near 1
_LEARN_RATE = 0.05
_DECAY = 0.9995


class Interval(msgspec.Struct, frozen=True):
    """When a job starts, in seconds since the epoch: four of five start between `early` and `late`."""

    told_at: float
    early: float
    likely: float
    late: float
    number: int = 0  # which of CLASSES it was told in


class Miss(msgspec.Struct, frozen=True, array_like=True):
    """The 10 % and 90 % quantiles of log(real wait / expected wait)."""

    low: float = -0.7
    high: float = 0.7


class StartMemory(msgspec.Struct, frozen=True):
    """What was learned of the intervals that were issued."""

    misses: tuple[Miss, ...] = (Miss(),) * len(CLASSES)
    held: float = 0.0  # sums with a decay: intervals that held, and all
    count: float = 0.0

    @property
    def whole(self) -> bool:
        """False where a file of another version gave something else."""
        return len(self.misses) == len(CLASSES)

    @property
    def hit_rate(self) -> float | None:
        """Share of the intervals that held; the aim is 0.8. None while there is none."""
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
    """Return when a job can start: the work ahead is done and there is power for it.

    In epoch seconds; None if that is after the end of the forecast.

    Args:
        now: seconds since the epoch.
        outlook: what the panel is expected to give.
        battery: what is stored now.
        ahead_s: seconds of work before it, of one body at a time.
        board: what the board draws.
        floor_percent: work goes on down to this charge,
        resume_percent: and begins again from this one.
        working: it goes on now.
        sleeps: the board sleeps while there is no power for work.
        bodies: jobs that run at once.
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
    """Return the interval around `likely`, which is clamped to its bounds. Both times are epoch seconds."""
    number = class_of(likely - now)
    miss, wait_s = memory.misses[number], likely - now + _OFFSET_S
    early = max(now, now + wait_s * math.exp(miss.low) - _OFFSET_S)
    late = now + wait_s * math.exp(miss.high) - _OFFSET_S
    late = max(early, late)
    return Interval(now, early, min(max(likely, early), late), late, number)


def came_true(memory: StartMemory, issued: Interval, started_at: float) -> StartMemory:
    """Update the memory with a job that started at `started_at` after the interval `issued`."""
    number = issued.number
    miss, early, late = memory.misses[number], started_at < issued.early, started_at > issued.late
    low = miss.low + _LEARN_RATE * (-0.9 if early else 0.1)
    high = miss.high + _LEARN_RATE * (0.9 if late else -0.1)
    misses = (*memory.misses[:number], Miss(max(-5.0, min(1.0, low)), max(-1.0, min(3.0, high))))
    held = memory.held * _DECAY + (not early and not late)
    return StartMemory((*misses, *memory.misses[number + 1 :]), held, memory.count * _DECAY + 1)


def class_of(wait_s: float) -> int:
    """Which of CLASSES a wait belongs to."""
    return next(number for number, bound in enumerate(CLASSES) if wait_s < bound or bound == math.inf)
