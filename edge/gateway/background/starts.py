"""Predicts when waiting jobs start, on a board that looks ahead, and learns from the real starts."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable

import msgspec

from edge.core import durable, stored
from edge.core.errors import NotInTime
from edge.core.layout import Layout
from edge.core.text import moment
from edge.ledger.rows import JobRow, NewJob
from edge.model import ALLOWED, OpenJobs, Pool, Power, PowerState, PowerStatus, Result
from edge.power.planner import outlook_file
from edge.power.planner.records import Battery
from edge.power.planner.starts import (
    LEAST_S,
    Interval,
    StartMemory,
    came_true,
    expected_start,
    interval,
)
from edge.power.policy.floor import GAP_PERCENT
from edge.wire import StartInterval

log = logging.getLogger(__name__)

#: Largest number of jobs whose prediction is remembered until they start. The oldest is forgotten first.
_MOST_JOBS = 5000
_SAVE_EVERY_S = 3600.0
_SAME_S = 2.0  # jobs accepted within this time get the same prediction
_GUESS_S = 60.0  # assumed run time of a job whose kind has not been learned yet


class StartTimes:
    """Predicts start times as intervals and learns from the real ones. Belongs to the event loop.

    Without a plan of the governor it predicts nothing and writes nothing.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        verdict: Callable[[], PowerStatus],
        rows: Callable[[], tuple[OpenJobs, ...]],
        bodies: Callable[[], int],
    ) -> None:
        """Read what an earlier gateway learned.

        Args:
            layout: where the files are.
            verdict: returns the report of the governor.
            rows: returns the open jobs by kind, with their learned costs.
            bodies: returns how many jobs run at once.
        """
        self._layout, self._verdict, self._rows, self._bodies = layout, verdict, rows, bodies
        self._predicted = dict[str, Interval]()  # by job id
        self._outlook: tuple[int, outlook_file.OutlookReport | None] = (
            0,
            None,
        )  # time of the last change and content of the file
        self._latest: tuple[float, Interval | None] = (-math.inf, None)  # the last prediction and when it was made
        self._changed, self._saved_s = False, time.monotonic()
        try:
            self._memory = stored.read(layout.start_times, StartMemory)
        except (OSError, stored.BadContent):
            self._memory = StartMemory()
        if not self._memory.whole:
            self._memory = StartMemory()

    @property
    def memory(self) -> StartMemory:
        """The learned errors of the predictions, with the share of intervals in which the job really started."""
        return self._memory

    def ahead(self) -> outlook_file.OutlookReport | None:
        """Return the forecast and the board model that the governor wrote, or None if there are none.

        The file is read again only if it has changed.
        """
        try:
            changed = self._layout.outlook.stat().st_mtime_ns
        except OSError:
            return None
        if changed != self._outlook[0]:
            self._outlook = changed, outlook_file.read(self._layout.outlook)
        return self._outlook[1]

    def of(self, power: Power, *, ahead: int | None, new: bool = False) -> Interval | None:
        """Return when a waiting job starts, or None if it starts soon or the start cannot be predicted.

        Args:
            power: the power class of the job.
            ahead: the number of jobs that run before it, or None if all open jobs run before it.
            new: the job is not accepted yet, so it is not among the open jobs.
        """
        status, now = self._verdict(), time.time()
        plan = status.plan
        if plan is None or plan.floor_percent is None or now >= plan.until or status.state is PowerState.PAUSED:
            return None
        if power is not Power.NORMAL:  # class `always` starts soon; the time of a surplus cannot be predicted
            return None
        model = self.ahead()
        charges = [each.value for each in status.readings if each.what == "charge" and each.value is not None]
        percent = charges[0] if charges else None
        if model is None or model.outlook is None or percent is None:
            return None
        likely = expected_start(
            now,
            model.outlook,
            Battery(percent, model.battery_wh),
            ahead_s=self._ahead_s(ahead, new=new),
            board=model.board,
            floor_percent=plan.floor_percent,
            resume_percent=plan.floor_percent + GAP_PERCENT,
            working=power in ALLOWED[status.state],
            sleeps=model.sleeps,
            bodies=self._bodies(),
        )
        if likely is None or likely - now < LEAST_S:
            return None
        return interval(self._memory, now, likely)

    def check(self, job: NewJob) -> None:
        """Raise NotInTime if this job, which is not accepted yet, would most likely end after its deadline.

        A job without a deadline is always in time.
        """
        if job.deadline_s is None:
            return
        found = None if job.later is not None else self.of(job.power, ahead=None, new=True)
        if found is not None and not self.fits(job.task, found.likely, time.time() + job.deadline_s):
            raise NotInTime(f"will not fit before its deadline; most likely {moment(found.likely)}", found.likely)

    def fits(self, task: str, start: float, deadline: float) -> bool:
        """Return True if a job of this kind that starts at `start` ends before `deadline`, both in epoch seconds."""
        return start + self._seconds(task) <= deadline

    def _seconds(self, task: str) -> float:
        """Return the learned run time of a job of this kind, or a guess."""
        return next((row.seconds for row in self._rows() if row.kind == task and row.seconds is not None), _GUESS_S)

    def note(self, job: JobRow) -> StartInterval | None:
        """Predict when a job starts that was just accepted, and remember the prediction.

        Return None if the job starts soon or its start cannot be predicted.
        """
        if job.waits or job.state.final or job.power is not Power.NORMAL:
            return None
        now_s = time.monotonic()
        if now_s - self._latest[0] > _SAME_S:  # jobs that come together share one evaluation of the forecast
            self._latest = now_s, self.of(job.power, ahead=None)
        found = self._latest[1]
        if found is None:
            return None
        self._predicted[job.id] = found
        while len(self._predicted) > _MOST_JOBS:
            del self._predicted[next(iter(self._predicted))]
        return StartInterval(round(found.early), round(found.likely), round(found.late))

    def ended(self, results: Iterable[Result]) -> None:
        """Compare the real starts of ended jobs with their predictions, and learn from the differences."""
        for result in results:
            predicted = self._predicted.pop(result.id, None)
            if predicted is not None and result.started_at is not None:
                self._memory = came_true(self._memory, predicted, result.started_at)
                self._changed = True
        if self._changed and time.monotonic() - self._saved_s > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what was learned if it has changed. An error of the disk is logged."""
        self._saved_s = time.monotonic()
        if not self._changed:
            return
        self._changed = False
        try:
            durable.replace_volatile(self._layout.start_times, msgspec.json.encode(self._memory))
        except OSError as err:
            log.warning("%s cannot be written: %s", self._layout.start_times, err.strerror or err)

    def _ahead_s(self, ahead: int | None, *, new: bool) -> float:
        """Return the seconds of work before a job: all open work except class `surplus`, or the share of `ahead` jobs.

        Only work of the pool main counts.
        """
        rows = [row for row in self._rows() if row.pool is Pool.MAIN and row.power is not Power.SURPLUS]
        jobs = sum(row.jobs for row in rows)
        total_s = sum(row.jobs * (_GUESS_S if row.seconds is None else row.seconds) for row in rows)
        if not jobs:
            return 0.0
        before = jobs - (0 if new else 1) if ahead is None else min(ahead, jobs)
        return total_s * before / jobs
