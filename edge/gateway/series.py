"""Builds the series of power and jobs over the last day or month, from the records of the governor and the gateway."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

from edge.config import Config
from edge.gateway.background.activity import Activity, JobSlot
from edge.gateway.board import Board
from edge.model import PowerState
from edge.power import series
from edge.power.series import QUANTITIES, SLOT_S, Mean, PowerSlot
from edge.wire import SeriesPoint, SeriesView


class Span(StrEnum):
    """How far back a series goes."""

    DAY = "24h"
    MONTH = "30d"


#: Length of a step in seconds, and the number of steps.
_STEPS = {Span.DAY: (SLOT_S, 96), Span.MONTH: (12 * SLOT_S, 240)}


class SeriesMaker:
    """Builds the series for each request. Runs on the event loop, and reads some tens of small files in a thread."""

    def __init__(self, config: Config, activity: Activity, board: Board) -> None:
        self._layout, self._thresholds = config.layout, config.power.thresholds
        self._activity, self._board = activity, board

    async def make(self, span: Span) -> SeriesView:
        """Return the series up to now."""
        step_s, count = _STEPS[span]
        now = time.time()
        last = int(now // step_s) * step_s
        first = last - (count - 1) * step_s
        power, jobs = await asyncio.to_thread(self._read, first, last + step_s - 1)
        begun = [body.started_at for worker in self._board.workers() for body in worker.running]
        open_now = self._activity.open_jobs()
        points = joined(power, jobs, begun, first=first, step_s=step_s, count=count, now=now, open_now=open_now)
        charged = any(point.charge is not None for point in points)
        limits = self._thresholds
        return SeriesView(
            span,
            step_s,
            points,
            pause_percent=limits.pause_percent if charged else None,
            resume_percent=limits.resume_percent if charged else None,
        )

    def _read(self, first: float, last: float) -> tuple[dict[int, PowerSlot], dict[int, JobSlot]]:
        power = series.read(self._layout.days, self._layout.today, first=first, last=last)
        # A step without a record keeps the backlog of the last record, which may be a day older than the first step.
        return power, self._activity.slots(first=first - 2 * 86_400, last=last)


def joined(
    power: Mapping[int, PowerSlot],
    jobs: Mapping[int, JobSlot],
    begun: list[float],
    *,
    first: int,
    step_s: int,
    count: int,
    now: float,
    open_now: int | None = None,
) -> tuple[SeriesPoint, ...]:
    """Put slots of a quarter of an hour into steps.

    Args:
        power: slots of the governor, by their first second.
        jobs: slots of the gateway, by their first second. Slots before `first` give the backlog at the start.
        begun: start times of the jobs that run now.
        first: when the first step begins, as Unix time; all other times are Unix time too.
        step_s: length of a step, a multiple of the length of a slot.
        count: number of steps.
        now: the present time; steps that begin later have no backlog.
        open_now: the backlog at `now`, or None if it is not known.
    """
    steps = range(first, first + count * step_s, step_s)
    by_step: dict[int, list[PowerSlot]] = defaultdict(list)
    jobs_by_step: dict[int, list[JobSlot]] = defaultdict(list)
    backlog: int | None = None
    for at, slot in power.items():
        by_step[_step(at, first, step_s)].append(slot)
    for at, job_slot in sorted(jobs.items()):
        if at >= first:
            jobs_by_step[_step(at, first, step_s)].append(job_slot)
        elif job_slot.backlog >= 0:
            backlog = job_slot.backlog
    running = [_step(at, first, step_s) for at in begun]
    points = []
    for at in steps:
        slots, job_slots = by_step[at], jobs_by_step[at]
        taken = [slot for slot in job_slots if slot.backlog >= 0]
        if open_now is not None and at <= now < at + step_s:
            taken.append(JobSlot(backlog=open_now, most=open_now))
        most = max([slot.most for slot in taken] + ([] if backlog is None else [backlog]), default=None)
        if taken:
            backlog = taken[-1].backlog
        points.append(
            SeriesPoint(
                float(at),
                **{name: _mean([getattr(slot, name) for slot in slots]) for name in QUANTITIES},
                seconds=_seconds(slots, step_s),
                started=sum(slot.started for slot in job_slots) + running.count(at),
                succeeded=sum(slot.succeeded for slot in job_slots),
                failed=sum(slot.failed for slot in job_slots),
                cancelled=sum(slot.cancelled for slot in job_slots),
                backlog=most if at <= now else None,
            )
        )
    return tuple(points)


def _step(at: float, first: int, step_s: int) -> int:
    return first + int((at - first) // step_s) * step_s


def _mean(means: list[Mean]) -> float | None:
    """Return the mean over slots of equal length, or None if no slot has a value."""
    values = [value for mean in means if (value := mean.value) is not None]
    return round(sum(values) / len(values), 2) if values else None


def _seconds(slots: list[PowerSlot], step_s: int) -> dict[str, float]:
    """Return the seconds in each state. The sum never exceeds the step, even if the clock stood still or went back."""
    sums = {state.value: sum(max(0.0, slot.seconds.get(state, 0.0)) for slot in slots) for state in PowerState}
    total = sum(sums.values())
    scale = min(1.0, step_s / total) if total > 0 else 1.0
    return {state: round(seconds * scale, 1) for state, seconds in sums.items() if seconds > 0}
