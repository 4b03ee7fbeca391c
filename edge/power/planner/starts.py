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
from edge.power.planner.path import parts, watts
from edge.power.planner.records import Battery, BoardModel, PlanSettings

_STEP_S = 600.0
_RULES = PlanSettings()  # its times, of which the owner sets only the longest sleep
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
_MOST_COUNTED = 1 / (1 - _DECAY) + 2  # no decaying number of intervals becomes larger


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
    """Return a memory from a file with all its errors, or a new one if the file does not fit this version.

    An error that no start could have taught means that the file is damaged. `exp` of a large one overflows.
    """
    fresh, found = StartMemory(), memory
    if len(memory.misses) == len(CLASSES):  # written before other classes than `normal` were learned
        found = msgspec.structs.replace(memory, misses=memory.misses + fresh.misses[len(CLASSES) :])
    sound = len(found.misses) == len(fresh.misses) and 0 <= found.held <= found.count + 1 <= _MOST_COUNTED
    return found if sound and all(miss == _bounded(miss.low, miss.high) for miss in found.misses) else fresh


def _bounded(low: float, high: float) -> Miss:
    return Miss(max(-5.0, min(1.0, low)), max(-1.0, min(3.0, high)))


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
    not_before: float = 0.0,
    longest_sleep_s: float = _RULES.longest_sleep_s,
    batch_s: float = _RULES.batch_s,
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
        not_before: time before which the jobs may not begin, in epoch seconds.
        longest_sleep_s: after this time a sleeping board is awake in any case, and works if it can.
        batch_s: a sleeping board is woken once there is energy for this time of work.
    """
    bodies = max(1, bodies)
    stored, most = battery.stored_wh, battery.capacity_wh
    floor_wh, resume_wh = floor_percent / 100 * most, resume_percent / 100 * most
    # After a lack of energy a sleeping board is woken only when there is enough for a batch of work, see `plan`.
    batch_wh, boot_wh = batch_s / 3600 * board.busy_w, board.boot_s / 3600 * board.boot_w
    woken_wh = min(most, resume_wh + batch_wh + boot_wh)
    slept_since: float | None = None
    rich, others_s, rich_wh, poor_wh = True, 0.0, 0.0, 0.0
    if surplus is not None:
        rich, others_s, rich_wh = surplus.rich, surplus.others_s / bodies, surplus.percent / 100 * most
        poor_wh = rich_wh - (rich_wh - floor_wh) / 12  # as in `Band.levels`
    at, done_s, found = now, 0.0, list[float | None]()
    while at < outlook.end and len(found) < len(ahead_s):
        if slept_since is not None and (stored >= woken_wh or at - slept_since >= longest_sleep_s):
            slept_since, stored, at = None, max(0.0, stored - boot_wh), at + board.boot_s
        working = slept_since is None and (stored > floor_wh if working else stored >= resume_wh)
        if sleeps and not working and slept_since is None:
            slept_since = at
        rich = stored >= poor_wh if rich else stored >= rich_wh
        span_s, draw = min(_STEP_S, _step_left_s(outlook, at)), board.off_w if sleeps else board.idle_w
        if working and others_s > 0:
            span_s, draw = min(span_s, others_s), board.busy_w
            others_s -= span_s
        elif working and (rich or (surplus is not None and at >= surplus.normal_from)):
            while at >= not_before and len(found) < len(ahead_s) and ahead_s[len(found)] / bodies - done_s < _SAME_S:
                found.append(at)
            if len(found) == len(ahead_s):
                break
            if (left_s := ahead_s[len(found)] / bodies - done_s) >= _SAME_S:
                span_s, draw = min(span_s, left_s), board.busy_w
                done_s += span_s
            else:
                span_s = min(span_s, not_before - at)
        stored = min(most, max(0.0, stored + (watts(outlook, at) - draw) * span_s / 3600))
        at += span_s
    return found + [None] * (len(ahead_s) - len(found))


def soonest(
    now: float,
    outlook: Outlook,
    battery: Battery,
    *,
    board: BoardModel,
    resume_percent: float,
    sleeps: bool,
    working: bool,
) -> float:
    """Return the time before which no work can begin, in epoch seconds; the arguments are those of `expected_starts`.

    A battery that holds too little for work gains nothing before there is sun.
    """
    if working or battery.percent >= resume_percent:
        return now
    draw_w = board.off_w if sleeps else board.idle_w
    return next((at for at, _, step in parts(outlook, now, outlook.end) if step.high > draw_w), outlook.end)


def _step_left_s(outlook: Outlook, at: float) -> float:
    """Return the seconds from `at` to the end of its step in the forecast."""
    left_s = outlook.step_s - (at - outlook.start) % outlook.step_s
    return left_s if left_s >= 1 else outlook.step_s


def interval(
    memory: StartMemory, now: float, likely: float, power: Power = Power.NORMAL, *, first: float = 0.0
) -> Interval:
    """Return the interval around `likely`, which is clamped to the bounds.

    Args:
        memory: errors that were learned before.
        now: seconds since the epoch.
        likely: the expected start, in epoch seconds.
        power: the power class of the job.
        first: time before which the job cannot start, in epoch seconds; see `soonest`.
    """
    number = class_of(likely - now) + _POSITION[power] * len(CLASSES)
    miss, wait_s = memory.misses[number], likely - now + _OFFSET_S
    early = max(now, min(first, likely), now + wait_s * math.exp(miss.low) - _OFFSET_S)
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
    misses = (*memory.misses[:number], _bounded(low, high))
    held = memory.held * _DECAY + (not early and not late)
    return StartMemory((*misses, *memory.misses[number + 1 :]), held, memory.count * _DECAY + 1)


def class_of(wait_s: float) -> int:
    """Return the index into CLASSES for a wait in seconds."""
    return next(number for number, bound in enumerate(CLASSES) if wait_s < bound or bound == math.inf)
