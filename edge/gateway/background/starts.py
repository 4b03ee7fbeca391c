"""Predicts when waiting jobs start, on a board that looks ahead, and learns from the real starts."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence

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
    Surplus,
    came_true,
    expected_starts,
    interval,
    limits,
    restored,
)
from edge.power.policy.floor import GAP_PERCENT
from edge.wire import StartInterval

log = logging.getLogger(__name__)

#: Largest number of jobs whose prediction is remembered until they start. The oldest is forgotten first.
_MOST_JOBS = 5000
_MOST_GROUPS = 20  # evaluations of the forecast for one batch, each of some milliseconds on a slow board
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
        #: The last prediction for a new job of each power class, and when it was made.
        self._latest = dict[Power, tuple[float, Interval | None]]()
        self._changed, self._saved_s = False, time.monotonic()
        try:
            self._memory = restored(stored.read(layout.start_times, StartMemory))
        except (OSError, stored.BadContent):
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

    def of(
        self, power: Power, *, ahead: int | None, new: bool = False, normal_from: float = math.inf
    ) -> Interval | None:
        """Return when a waiting job starts, or None if it starts soon or the start cannot be predicted.

        Args:
            power: the power class of the job.
            ahead: the number of jobs of its class that run before it, or None if all open jobs run before it.
            new: the job is not accepted yet, so it is not among the open jobs.
            normal_from: time from which normal power is enough for a job of class `surplus`, in epoch seconds.
        """
        jobs, total_s = self._own_work(power)
        before = jobs - (0 if new else 1) if ahead is None else min(ahead, jobs)
        (found,) = self._predict(power, [total_s * before / jobs if jobs else 0.0], normal_from)
        return found

    def _predict(self, power: Power, ahead_s: Sequence[float], normal_from: float) -> list[Interval | None]:
        """Predict the starts of jobs of one class, with these seconds of work of the class before each of them."""
        status, now, nothing = self._verdict(), time.time(), list[Interval | None]([None] * len(ahead_s))
        plan = status.plan
        if plan is None or plan.floor_percent is None or now >= plan.until or status.state is PowerState.PAUSED:
            return nothing
        model = self.ahead()
        charges = [each.value for each in status.readings if each.what == "charge" and each.value is not None]
        percent = charges[0] if charges else None
        if model is None or model.outlook is None or percent is None:
            return nothing
        surplus = None
        if power is Power.SURPLUS:
            rich = status.state is PowerState.SURPLUS
            surplus = Surplus(model.surplus_percent, rich, self._own_work(Power.NORMAL)[1], normal_from)
        floor, resume = limits(power, floor=plan.floor_percent, gap=GAP_PERCENT, critical=model.critical_percent)
        needed = Power.NORMAL if power is Power.SURPLUS else power
        found = expected_starts(
            now,
            model.outlook,
            Battery(percent, model.battery_wh),
            ahead_s=ahead_s,
            board=model.board,
            floor_percent=floor,
            resume_percent=resume,
            working=needed in ALLOWED[status.state],
            sleeps=model.sleeps,
            bodies=self._bodies(),
            surplus=surplus,
        )
        return [
            None if likely is None or likely - now < LEAST_S else interval(self._memory, now, likely, power)
            for likely in found
        ]

    def check(self, job: NewJob) -> None:
        """Raise NotInTime if this job, which is not accepted yet, would most likely end after its deadline.

        A job without a deadline is always in time. So is one of class `surplus`: its deadline is the time from which
        normal power is enough for it.
        """
        if job.deadline_s is None or job.power is Power.SURPLUS:
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
        if job.waits or job.state.final:
            return None
        now_s = time.monotonic()
        made_s, found = self._latest.get(job.power, (-math.inf, None))
        if job.deadline_s is not None and job.power is Power.SURPLUS:
            found = self.of(job.power, ahead=None, normal_from=deadline_at(job))
        elif now_s - made_s > _SAME_S:  # jobs that come together share one evaluation of the forecast
            found = self.of(job.power, ahead=None)
            self._latest[job.power] = now_s, found
        return self._remembered(job, found)

    def note_batch(self, jobs: Sequence[JobRow]) -> dict[str, StartInterval]:
        """Predict when the jobs of a batch start that was just accepted, and remember the predictions.

        Return the intervals by job id, without jobs that start soon or whose start cannot be predicted. If the jobs of
        class `surplus` have many different deadlines, only those with the first ones get a prediction.
        """
        groups = dict[tuple[Power, float | None], list[JobRow]]()
        for job in jobs:
            key = job.power, job.deadline_s if job.power is Power.SURPLUS else None
            if not job.waits and not job.state.final and (key in groups or len(groups) < _MOST_GROUPS):
                groups.setdefault(key, []).append(job)
        noted = dict[str, StartInterval]()
        for (power, _), own in groups.items():
            count, total_s = self._own_work(power)
            each_s, first = (total_s / count if count else 0.0), max(0, count - len(own))
            ahead_s = [each_s * (first + number) for number in range(len(own))]
            latest = deadline_at(own[0]) if power is Power.SURPLUS else math.inf
            for job, found in zip(own, self._predict(power, ahead_s, latest), strict=True):
                if (starts := self._remembered(job, found)) is not None:
                    noted[job.id] = starts
        return noted

    def _remembered(self, job: JobRow, found: Interval | None) -> StartInterval | None:
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

    def _own_work(self, power: Power) -> tuple[int, float]:
        """Return number and seconds of the open jobs among which a job of this class waits for its turn.

        Jobs of class `always` run before those of class `normal`, and both before `surplus`. Only the pool main counts.
        """
        rows = [row for row in self._rows() if row.pool is Pool.MAIN and row.power in _AMONG[power]]
        total_s = sum(row.jobs * (_GUESS_S if row.seconds is None else row.seconds) for row in rows)
        return sum(row.jobs for row in rows), total_s


def deadline_at(job: JobRow) -> float:
    """Return the deadline of a job in epoch seconds, or infinity. For class `surplus`, normal power is enough then."""
    return math.inf if job.deadline_s is None else job.accepted_at + job.deadline_s


#: Classes whose open jobs count for the turn of a job, by its class.
_AMONG = {
    Power.ALWAYS: frozenset({Power.ALWAYS}),
    Power.NORMAL: frozenset({Power.ALWAYS, Power.NORMAL}),
    Power.SURPLUS: frozenset({Power.SURPLUS}),
}
