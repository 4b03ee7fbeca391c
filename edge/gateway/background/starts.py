"""When waiting jobs are going to start, on a board that looks ahead; and how often what was told came true."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable

import msgspec

from edge.core import durable
from edge.core.errors import NotInTime
from edge.core.layout import Layout
from edge.core.text import moment
from edge.ledger.rows import JobRow, NewJob
from edge.model import ALLOWED, OpenJobs, Pool, Power, PowerState, PowerStatus, Result
from edge.power.planner import told
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

#: Jobs whose interval is remembered until they start; the oldest are forgotten first.
_MOST = 5000
_SAVE_EVERY_S = 3600.0
_SAME_S = 2.0
_GUESS_S = 60.0  # of a job whose kind has not been learned


class StartTimes:
    """Tells and learns. Belongs to the event loop. Without a plan nothing is told, and nothing is written."""

    def __init__(
        self,
        layout: Layout,
        *,
        verdict: Callable[[], PowerStatus],
        rows: Callable[[], tuple[OpenJobs, ...]],
        bodies: Callable[[], int],
    ) -> None:
        """Read what was learned.

        Args:
            layout: where the files are.
            verdict: returns the governor's report.
            rows: returns the open jobs by kind, with what they cost.
            bodies: returns how many jobs run at once.
        """
        self._layout, self._verdict, self._rows, self._bodies = layout, verdict, rows, bodies
        self._told = dict[str, Interval]()
        self._seen: tuple[int, told.Told | None] = (0, None)
        self._noted: tuple[float, Interval | None] = (-math.inf, None)
        self._changed, self._saved_s = False, time.monotonic()
        try:
            self._memory = msgspec.json.decode(layout.start_times.read_bytes(), type=StartMemory)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._memory = StartMemory()
        if not self._memory.whole:
            self._memory = StartMemory()

    @property
    def memory(self) -> StartMemory:
        """What was learned: with it, how many of the intervals held."""
        return self._memory

    def ahead(self) -> told.Told | None:
        """What the governor looks ahead by; an unchanged file is not read again."""
        try:
            changed = self._layout.outlook.stat().st_mtime_ns
        except OSError:
            return None
        if changed != self._seen[0]:
            self._seen = changed, told.read(self._layout.outlook)
        return self._seen[1]

    def of(self, power: Power, *, ahead: int | None, new: bool = False) -> Interval | None:
        """When a job starts that waits now; None: at once, or nobody knows.

        Args:
            power: its class.
            ahead: how many jobs stand before it; None: all that are open.
            new: it is not among the open jobs yet.
        """
        status, now = self._verdict(), time.time()
        plan = status.plan
        if plan is None or plan.floor_percent is None or now >= plan.until or status.state is PowerState.PAUSED:
            return None
        if power is not Power.NORMAL:  # `always` is about to start; nobody can tell when there is a surplus
            return None
        seen = self.ahead()
        charges = [each.value for each in status.readings if each.what == "charge" and each.value is not None]
        percent = charges[0] if charges else None
        if seen is None or seen.outlook is None or percent is None:
            return None
        likely = expected_start(
            now,
            seen.outlook,
            Battery(percent, seen.battery_wh),
            ahead_s=self._ahead_s(ahead, new=new),
            board=seen.board,
            floor_percent=plan.floor_percent,
            resume_percent=plan.floor_percent + GAP_PERCENT,
            working=power in ALLOWED[status.state],
            sleeps=seen.sleeps,
            bodies=self._bodies(),
        )
        if likely is None or likely - now < LEAST_S:
            return None
        return interval(self._memory, now, likely)

    def check(self, job: NewJob) -> None:
        """Raise NotInTime where a job that is not accepted yet would most likely end after its deadline.

        One without a deadline is in time whenever it ends.
        """
        if job.deadline_s is None:
            return
        found = None if job.later is not None else self.of(job.power, ahead=None, new=True)
        if found is not None and not self.fits(job.task, found.likely, time.time() + job.deadline_s):
            raise NotInTime(f"will not fit before its deadline; most likely {moment(found.likely)}", found.likely)

    def fits(self, task: str, start: float, deadline: float) -> bool:
        """True where a job of this kind that starts then ends before the deadline."""
        return start + self._seconds(task) <= deadline

    def _seconds(self, task: str) -> float:
        """What a job of this kind is known to take."""
        return next((row.seconds for row in self._rows() if row.kind == task and row.seconds is not None), _GUESS_S)

    def note(self, job: JobRow) -> StartInterval | None:
        """Say when a job starts that was just accepted, and remember it."""
        if job.waits or job.state.final or job.power is not Power.NORMAL:
            return None
        now_s = time.monotonic()
        if now_s - self._noted[0] > _SAME_S:  # many at once share one look along the forecast
            self._noted = now_s, self.of(job.power, ahead=None)
        found = self._noted[1]
        if found is None:
            return None
        self._told[job.id] = found
        while len(self._told) > _MOST:
            del self._told[next(iter(self._told))]
        return StartInterval(round(found.early), round(found.likely), round(found.late))

    def ended(self, results: Iterable[Result]) -> None:
        """Learn from jobs that have ended: when each began."""
        for result in results:
            said = self._told.pop(result.id, None)
            if said is not None and result.started_at is not None:
                self._memory = came_true(self._memory, said, result.started_at)
                self._changed = True
        if self._changed and time.monotonic() - self._saved_s > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what has changed. An error is logged: it is learned again."""
        self._saved_s = time.monotonic()
        if not self._changed:
            return
        self._changed = False
        try:
            durable.replace_volatile(self._layout.start_times, msgspec.json.encode(self._memory))
        except OSError as err:
            log.warning("%s cannot be written: %s", self._layout.start_times, err.strerror or err)

    def _ahead_s(self, ahead: int | None, *, new: bool) -> float:
        """Seconds of work before a job: of all that is open and no worse, or of a part of it."""
        rows = [row for row in self._rows() if row.pool is Pool.MAIN and row.power is not Power.SURPLUS]
        jobs = sum(row.jobs for row in rows)
        total_s = sum(row.jobs * (_GUESS_S if row.seconds is None else row.seconds) for row in rows)
        if not jobs:
            return 0.0
        before = jobs - (0 if new else 1) if ahead is None else min(ahead, jobs)
        return total_s * before / jobs
