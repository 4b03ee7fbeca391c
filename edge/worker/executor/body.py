"""One body that runs in a thread while others run: its limits, its holds, and how it is ended.

Signal handlers run in the main thread only. So a body is ended in three steps, each later than the one before:

1. Its next `job.check`, `job.progress` or `job.checkpoint` raises the exception.
2. After `ASK_S` the exception is raised wherever the body runs its Python code, if that is safe; see `interrupt`.
3. After `ABANDON_S` the body is abandoned: its job ends without it. The body keeps its thread, and every later call of
   its `Job` raises.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.core.wakeup import Wakeup
from edge.model import ALLOWED, Power, PowerState, PowerStatus, Progress, RunningJob, WaitReason
from edge.worker.attempt.outcome import Outcome
from edge.worker.executor import interrupt
from edge.worker.power.feasibility import too_hot
from edge.worker.power.meter import Usage
from edge.worker.power.patience import Patience
from edge.worker.process.control import (
    JobCancelled,
    JobControl,
    JobInterrupted,
    JobTimedOut,
    enter,
)

logger = logging.getLogger(__name__)

#: Time in which a body that must end may call its `Job`. Then the exception is raised wherever the body is.
ASK_S = 0.5
#: If the body catches the exception, it is raised again after this time.
AGAIN_S = 1.0
#: A body that has not ended after this time is abandoned.
ABANDON_S = 5.0

_STOPS = "the worker stops"
T = TypeVar("T")


class Body:
    """A body of an I/O-bound kind, from its start to its end.

    `run` and the methods that a `Job` calls belong to the body's thread. `cancel` may be called from any thread. All
    other methods belong to the main thread.
    """

    def __init__(
        self,
        job: RunningJob,
        klass: Power,
        power: PowerStatus,
        *,
        limit_s: float | None,
        max_temp_c: float | None,
        holds: bool,
        on_change: Callable[[], None],
        on_resume: Callable[[], None],
    ) -> None:
        """Make the body of `job`, which has not begun.

        Args:
            job: the entry of the body in the worker's status.
            klass: the power class of the job.
            power: the governor's report that allowed the start.
            limit_s: the time limit of the body.
            max_temp_c: the body is held while the board is hotter than this.
            holds: whether the body is held while power forbids its class.
            on_change: called in any thread when `running_job` has changed.
            on_resume: called in the body's thread when a hold has ended and the time for the limit runs again.
        """
        self._job, self._klass, self._power = job, klass, power
        self._limit_s, self._max_temp_c, self._holds = limit_s, max_temp_c, holds
        self._on_change, self._on_resume = on_change, on_resume
        self._began = time.monotonic()
        self._ident = 0  # identifier of its thread, once it runs there
        self._cpu_began_s = 0.0
        # A plain lock: `with` takes it without an instruction at which an exception could be raised from outside.
        self._lock = threading.Lock()
        self._go_on = threading.Event()  # wakes the body when it is held
        self._inside = False
        self._shields = 0
        self._cancelled = False
        self._stop_at: float | None = None
        self._leave_at: float | None = None
        self._why_leave = ""
        self._raised: JobControl | None = None
        self._raise_at = 0.0
        self._due_since: float | None = None
        self._gone: JobControl | None = None
        self._outcome: Outcome | None = None
        self._held_s = 0.0
        self._held_at: float | None = None
        self._hot = False
        self._patience = Patience()
        self._wake_program: Callable[[], None] = lambda: None
        self._usage: Usage | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def running_job(self) -> RunningJob:
        """The entry of the body in the worker's status."""
        return self._job

    @property
    def usage(self) -> Usage | None:
        """The resources that the body's program used, or None if it ran no program or the program has not ended."""
        return self._usage

    @property
    def held_s(self) -> float:
        """Total time for which the body was held, in seconds."""
        held_at = self._held_at
        return self._held_s + (time.monotonic() - held_at if held_at is not None else 0.0)

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the body, which is None while the body runs, and always None if it was abandoned."""
        return self._outcome

    @property
    def abandoned(self) -> bool:
        """True once the body is abandoned: the job has ended without it."""
        return self._gone is not None

    # --- the main thread ----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Note that the job was cancelled. Callable from any thread."""
        self._cancelled = True
        self._wake()

    def apply_power(self, power: PowerStatus, *, grace_s: float) -> None:
        """Apply a new power report. At critical power the body has `grace_s` to end or to reach a checkpoint."""
        self._power = power
        if power.state is not PowerState.CRITICAL:
            self._leave_at = None  # power came back within the grace
        elif self._leave_at is None:
            self._why_leave = f"power is critical ({power.reason}) and the worker leaves"
            self._leave_at = time.monotonic() + grace_s
        self._wake()

    def stop(self, at: float) -> None:
        """Note that the worker stops: the body must end before `at` (monotonic seconds)."""
        if self._stop_at != at:
            self._stop_at = at
            self._wake()

    def interrupt_if_due(self, now: float) -> float | None:
        """Interrupt the body if it must end now.

        Returns:
            When to call this again, in monotonic seconds, or None if nothing comes due for the body.
        """
        if self._outcome is not None:
            return None
        why = self._due(now)
        if why is None:
            self._due_since = None
            return self._next_due(now)
        if self._due_since is None:
            self._due_since, self._raise_at = now, now + ASK_S
            self._wake()
        if now >= self._raise_at:
            self._raise_at = now + AGAIN_S
            self._interrupt(why)
        return min(self._raise_at, self._due_since + ABANDON_S)

    def give_up(self, now: float) -> JobControl | None:
        """Abandon the body if it did not end in time. Return why it had to end, or None if it is not overdue."""
        if self._due_since is None or now < self._due_since + ABANDON_S:
            return None
        with self._lock:
            if self._outcome is None:
                self._gone = self._due(now)
            return self._gone

    def spent(self) -> tuple[float, float]:
        """Return the seconds since the start of the body, and the CPU seconds of its thread since then."""
        cpu_s = 0.0
        with suppress(OSError, OverflowError):  # its thread has not begun
            cpu_s = time.clock_gettime(time.pthread_getcpuclockid(self._ident)) if self._ident else 0.0
        return time.monotonic() - self._began, max(cpu_s - self._cpu_began_s, 0.0)

    # --- the body's thread --------------------------------------------------------------------------------

    def run(self, job_id: str, body: Callable[[], T], *, limit_s: float | None, lasting_s: float | None = None) -> T:  # noqa: ARG002 - as Control's
        """Call `body` and return its value. Raises JobControl if it is cancelled, timed out or stopped.

        If the body caught the exception of a cancel or of its time limit, that exception is raised after its return.
        """
        self._ident, self._cpu_began_s = threading.get_ident(), time.thread_time()
        try:
            with self._lock:
                self._inside = True
            self._raise_due()
            value = enter(body)
        finally:
            self._leave()
        if isinstance(self._raised, JobCancelled | JobTimedOut):
            raise self._raised
        return value

    def finish(self, outcome: Outcome) -> bool:
        """Set the outcome. Return False if the body was abandoned before, so that its outcome is dropped."""
        with self._lock:
            if self._gone is None:
                self._outcome = outcome
            return self._gone is None

    def progress(self, progress: Progress) -> None:
        """Note the progress of the body. The status is written at most four times a second."""
        self._change(msgspec.structs.replace(self._job, progress=progress))

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        """Return a function that does the same as `path_of`, but raises if the body must end."""

        def file(name: str) -> Path:
            self._raise_due()
            return path_of(name)

        return file

    def stopping(self) -> bool:
        """Return True if the body must save its state, because it will end or be held soon."""
        return self._ending or self._objection() is not None

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Raise nothing from outside inside the block. An exception that came due meanwhile is raised at its end."""
        self._raise_due()
        with self._lock:
            self._shields += 1
            interrupt.clear(self._ident, None)
        try:
            yield
        finally:
            with self._lock:
                self._shields -= 1
        self._raise_due()

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return as soon as the body may continue; raise if it must end. The arguments are those of `Hold.check`."""
        self._raise_due(saved=saved)
        if self._patience.ends(wanted=self._objection() is not None, patient=patient):
            saved = saved or (save is not None and save())
            self._wait()
            self._patience.reset()
            self._raise_due(saved=saved)

    @property
    def ending(self) -> bool:
        """True when the body must save its state and end."""
        return self._ending

    @contextmanager
    def waking(self, wakeup: Wakeup) -> Iterator[None]:
        """Wake `wakeup` inside the block whenever a call of `check` may hold the body or raise."""
        self._wake_program = wakeup.wake
        try:
            yield
        finally:
            self._wake_program = lambda: None

    def used(self, usage: Usage) -> None:
        """Note the resources that the body's program used."""
        self._usage = usage

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _ending(self) -> bool:
        return self._stop_at is not None or self._leave_at is not None

    def _own_s(self, now: float) -> float:
        """Return the seconds for which the body has run, without the time for which it was held."""
        held_at = self._held_at
        return now - self._began - self._held_s - (now - held_at if held_at is not None else 0.0)

    def _due(self, now: float) -> JobControl | None:
        if self._gone is not None:
            return self._gone
        if self._cancelled:
            return JobCancelled("the job was cancelled while it ran")
        if self._limit_s is not None and self._own_s(now) >= self._limit_s:
            return JobTimedOut(f"the job ran longer than its limit of {self._limit_s:g} s")
        if self._stop_at is not None and now >= self._stop_at:
            return JobInterrupted(_STOPS)
        if self._leave_at is not None and now >= self._leave_at:
            return JobInterrupted(self._why_leave)
        return None

    def _next_due(self, now: float) -> float | None:
        limit_at = None
        if self._limit_s is not None and self._held_at is None:
            limit_at = now + self._limit_s - self._own_s(now)
        return min((at for at in (limit_at, self._stop_at, self._leave_at) if at is not None), default=None)

    def _raise_due(self, *, saved: bool = False) -> None:
        why = self._due(time.monotonic())
        if why is None and self._ending and saved:
            why = JobInterrupted(_STOPS if self._stop_at is not None else self._why_leave)
        if why is not None:
            self._raised = why
            raise why

    def _interrupt(self, why: JobControl) -> None:
        with self._lock:
            if self._inside and not self._shields and interrupt.raise_in(self._ident, why):
                self._raised = why

    def _leave(self) -> None:
        """Make sure that nothing is raised from outside after the return. A pending exception is dropped."""
        while True:
            try:
                with self._lock:
                    self._inside = False
                    interrupt.clear(self._ident, None)
            except JobControl:
                continue
            return

    def _objection(self) -> WaitReason | None:
        """Return why the body may not continue, or None."""
        report = self._power
        if report.state is PowerState.CRITICAL:  # the body runs on to a checkpoint in its grace time
            return None
        if self._holds and self._klass not in ALLOWED[report.state]:
            return WaitReason(0.0, f"power is {report.state} ({report.reason})", until=report.until)
        hot = too_hot(self._max_temp_c, report, held=self._hot)
        self._hot = hot is not None
        return hot

    def _wait(self) -> None:
        """Sleep until power allows the body to continue, or until it must end."""
        since, began = time.time(), time.monotonic()
        with self._lock:
            self._shields += 1
            interrupt.clear(self._ident, None)
        self._held_at = began
        try:
            while True:
                self._go_on.clear()  # before the check below: a later change sets it again
                why = self._objection()
                if why is None or self._ending or self._due(time.monotonic()) is not None:
                    break
                if self._job.held is None:
                    logger.info("job %s is held: %s; goes on when %s", self.id, why.reason, why.until or "it is over")
                self._change(msgspec.structs.replace(self._job, held=WaitReason(since, why.reason, why.until)))
                self._go_on.wait()
        finally:
            now = time.monotonic()
            self._held_s, self._held_at = self._held_s + now - began, None
            with self._lock:
                self._shields -= 1
        self._change(msgspec.structs.replace(self._job, held=None))
        self._on_resume()
        logger.info("job %s goes on after %.1f s", self.id, now - began)

    def _wake(self) -> None:
        """Wake the body if it is held or waits for its program. Callable from any thread."""
        self._go_on.set()
        self._wake_program()

    def _change(self, job: RunningJob) -> None:
        self._job = job
        self._on_change()
