"""Interrupts a running body: on a cancel, at its time limit, or when the worker stops.

The time in which the body is held or frozen does not count for its limit. Signals arrive in the main thread, where the
body runs. Their handler raises an exception only if the interrupted code was called from `enter`, so only in the body.
The worker's own code is never interrupted halfway.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TypeVar

#: A body that catches and ignores the exception gets it again after this time.
AGAIN_S = 2.0
#: If a body catches and ignores the exception more often than this, the worker stops waiting for it.
MOST_SWALLOWED = 10
#: A body that still runs this long after its time limit is overdue: that is twice the time that all repeats take.
_GIVEN_UP_S = AGAIN_S * MOST_SWALLOWED * 2

_STOP_REASON = "the worker stops"
#: `signal.getsignal` without its costly conversion to an enum: it is called for eight signals before each body.
_get_handler: Callable[[int], object] = import_module("_signal").getsignal
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

T = TypeVar("T")


class JobControl(BaseException):
    """The worker raises this in a body. It derives from BaseException, so that `except Exception` does not catch it."""


class JobCancelled(JobControl):
    """The job was cancelled."""


class JobTimedOut(JobControl):
    """The job reached its time limit."""


class JobInterrupted(JobControl):
    """The worker stops or power is critical. The job runs again later, from its checkpoint."""


class Control:
    """Interrupts the one body that runs. Belongs to the main thread, unless the docstring of a method says otherwise.

    The callbacks are called in the main thread, most of them in signal handlers:

    - `on_stop` when the worker must stop; also by `stop`
    - `on_stubborn` when a body does not end
    - `on_lasting` when a body has run for the requested time; also by `check`
    - `on_power` at SIGIO while a body runs, because the power report may have changed
    """

    def __init__(
        self,
        *,
        stop_grace_s: float,
        on_stop: Callable[[], None],
        on_stubborn: Callable[[JobControl], None],
        on_lasting: Callable[[], None] = lambda: None,
        on_power: Callable[[], None] = lambda: None,
        frozen_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Make the control. `install` installs its signal handlers.

        `stop_grace_s` is the time in which a body may end when the worker stops. `frozen_s` returns the total time for
        which this process was frozen, in seconds.
        """
        self.stopping = False
        self._grace_s = stop_grace_s
        self._on_stop = on_stop
        self._on_stubborn = on_stubborn
        self._on_lasting = on_lasting
        self._on_power = on_power
        self._frozen_s = frozen_s
        self._leave_at: float | None = None
        self._why_leave = ""
        self._held_s = 0.0
        self._held_at: float | None = None
        self._frozen_before_s = 0.0
        self._wake: Callable[[], None] = lambda: None
        self._lasting_at: float | None = None
        self._main = threading.main_thread().ident or 0
        self._job_id: str | None = None
        self._cancelled_id: str | None = None
        self._deadline: float | None = None  # on the body's own clock, see `_body_clock`
        self._limit_s = 0.0
        self._stop_at = 0.0
        self._shields = 0
        self._raised: JobControl | None = None
        self._swallowed = 0
        self._handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            **dict.fromkeys(map(int, _STOP_SIGNALS), self._on_stop_signal),
            **dict.fromkeys(map(int, (signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT)), self._on_signal),
            int(signal.SIGIO): self._on_power_signal,
        }

    def install(self) -> None:
        """Install the signal handlers. Called before each body, because the one before may have replaced them."""
        for number, handler in self._handlers.items():
            now = _get_handler(number)
            # A stop signal that is ignored, as under nohup, stays ignored.
            if now is not handler and not (number in _STOP_SIGNALS and now == signal.SIG_IGN):
                signal.signal(number, handler)

    @staticmethod
    def uninstall() -> None:
        """Reset the signals to their defaults. Without it, signals could not end a child that a body forks.

        SIGIO is ignored, because its default would end the process.
        """
        for number in (*_STOP_SIGNALS, signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    @property
    def overdue(self) -> bool:
        """True when a body still runs long after its time limit. Callable from any thread."""
        deadline = self._deadline
        if self._job_id is None or deadline is None:
            return False
        return self._body_clock(time.monotonic()) > deadline + _GIVEN_UP_S

    @property
    def held_s(self) -> float:
        """Total time for which the current or last body was held or frozen, in seconds."""
        return self._away_s(time.monotonic())

    @property
    def ending(self) -> bool:
        """True when the worker stops or power is critical, so that the body must save its state and end.

        A cancel and a time limit do not count here, see `due`.
        """
        return self.stopping or self._leave_at is not None

    @property
    def due(self) -> bool:
        """True when the body must end for any reason, at once or within its grace time."""
        return self.ending or self._exception_due(time.monotonic()) is not None

    def cancel(self, job_id: str) -> None:
        """Cancel `job_id` if it runs or is about to run. Callable from any thread."""
        self._cancelled_id = job_id
        signal.pthread_kill(self._main, signal.SIGUSR1)

    def run(self, job_id: str, body: Callable[[], T], *, limit_s: float | None, lasting_s: float | None = None) -> T:
        """Call `body` and return its value.

        If the body caught the exception of a cancel or of its time limit, that exception is raised after its return. So
        a body cannot suppress it. If the body caught JobInterrupted and returned, its value is used.

        Args:
            job_id: the job of the body, for `cancel`.
            body: called once.
            limit_s: time limit of the body.
            lasting_s: time after which `on_lasting` is called.

        Raises:
            JobControl: the body was cancelled, timed out or stopped.
            BaseException: the body raised it.
        """
        now = time.monotonic()
        self._leave_at = None
        self._held_s, self._held_at, self._frozen_before_s = 0.0, None, self._frozen_s()
        self._deadline = None if limit_s is None else now + limit_s
        self._limit_s = limit_s or 0.0
        self._lasting_at = None if lasting_s is None else now + lasting_s
        self._raised, self._swallowed, self._shields = None, 0, 0
        self.install()
        self._job_id = job_id
        try:
            self._arm(now)
            self.check()
            value = enter(body)
        finally:
            self._job_id = None
            signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(self._raised, JobCancelled | JobTimedOut):
            raise self._raised
        return value

    def check(self, *, saved: bool = False) -> None:
        """Raise JobControl if the body must end now. A body whose progress is `saved` gets no grace time."""
        if self._job_id is None:
            return
        now = time.monotonic()
        self._lasted(now)
        why = self._exception_due(now)
        if why is None and self.ending and saved:
            why = JobInterrupted(_STOP_REASON if self.stopping else self._why_leave)
        if why is not None:
            self._raised = why
            raise why

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Raise nothing from a signal inside the block. An exception that came due meanwhile is raised at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    @contextmanager
    def holding(self, wake: Callable[[], None]) -> Iterator[None]:
        """Hold the body inside the block: its clock stops, nothing is raised, and each signal calls `wake`.

        Call `check` after the block.
        """
        self._wake = wake
        self._shields += 1
        self._lasting_at = None  # `on_lasting` is not needed: the caller reports that the body is held
        self._held_at = now = time.monotonic()
        self._arm(now)
        try:
            yield
        finally:
            now = time.monotonic()
            self._held_s += now - self._held_at
            self._held_at = None
            self._shields -= 1
            self._wake = lambda: None
            self._arm(now)

    def start_grace(self, grace_s: float, why: str) -> None:
        """Give the running body `grace_s` to end or to reach a checkpoint, then interrupt it."""
        if self._leave_at is None and self._job_id is not None:
            now = time.monotonic()
            self._leave_at, self._why_leave = now + grace_s, why
            self._arm(now)

    def end_grace(self) -> None:
        """Undo `start_grace`: power came back within the grace time."""
        self._leave_at = None

    def stop(self) -> None:
        """Stop the worker at once, without grace time. Call it only while no body runs."""
        self.stopping = True
        self._on_stop()

    @property
    def stop_at(self) -> float | None:
        """Time by which bodies must have ended, in monotonic seconds, or None if no signal has stopped the worker."""
        return self._stop_at or None

    def _on_stop_signal(self, _number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        stop_at = now if self.stopping else now + self._grace_s  # after a second signal there is no grace time
        self._stop_at, self.stopping = stop_at, True
        self._on_stop()
        self._interrupt(now, frame)

    def _on_power_signal(self, _number: int, frame: FrameType | None) -> None:
        if self._job_id is not None:
            self._on_power()
            self._interrupt(time.monotonic(), frame)

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        self._interrupt(time.monotonic(), frame)

    def _interrupt(self, now: float, frame: FrameType | None) -> None:
        if self._job_id is None:
            return
        if not self._shields and self._lasted(now):
            now = time.monotonic()
        self._wake()
        why = self._exception_due(now)
        self._arm(now)
        if why is None or self._shields or not _below_enter(frame):
            return
        if self._raised is not None:
            self._swallowed += 1
            if self._swallowed > MOST_SWALLOWED:
                self._on_stubborn(why)
        self._raised = why
        raise why

    def _lasted(self, now: float) -> bool:
        """Call `on_lasting` if its time has come. Return True if it was called."""
        if self._lasting_at is None or now < self._lasting_at:
            return False
        self._lasting_at = None
        self._shields += 1  # no exception may interrupt the worker's own code
        try:
            self._on_lasting()
        finally:
            self._shields -= 1
        return True

    def _exception_due(self, now: float) -> JobControl | None:
        """Return the exception that must be raised in the body now, or None. None during a grace time."""
        if self._cancelled_id is not None and self._cancelled_id == self._job_id:
            return JobCancelled("the job was cancelled while it ran")
        if self._deadline is not None and self._body_clock(now) >= self._deadline:
            return JobTimedOut(f"the job ran longer than its limit of {self._limit_s:g} s")
        if self.stopping and now >= self._stop_at:
            return JobInterrupted(_STOP_REASON)
        if self._leave_at is not None and now >= self._leave_at:
            return JobInterrupted(self._why_leave)
        return None

    def _away_s(self, now: float) -> float:
        held_at = self._held_at
        frozen_s = self._frozen_s() - self._frozen_before_s
        return self._held_s + frozen_s + (now - held_at if held_at is not None else 0.0)

    def _body_clock(self, now: float) -> float:
        """Return the time of the body's clock, in seconds. It stops while the body is held or frozen."""
        return now - self._away_s(now)

    def _arm(self, now: float) -> None:
        """Set the alarm for the next event, or for raising the exception again."""
        if self._exception_due(now) is not None:
            delay = AGAIN_S
        else:
            stop_at = self._stop_at if self.stopping else None
            deadline = None
            if self._deadline is not None and self._held_at is None:
                deadline = self._deadline + self._away_s(now)
            times = [at for at in (deadline, stop_at, self._leave_at, self._lasting_at) if at is not None]
            delay = max(min(times) - now, 0.001) if times else 0.0
        signal.setitimer(signal.ITIMER_REAL, delay)


def enter(body: Callable[[], T]) -> T:
    """Call `body`. A signal handler raises only if the interrupted code was called from here."""
    return body()


def _below_enter(frame: FrameType | None) -> bool:
    if frame is None or frame.f_code is enter.__code__:
        return False
    while frame is not None:
        if frame.f_code is enter.__code__:
            return True
        frame = frame.f_back
    return False


def exit_fork() -> None:
    """End a forked child that returned from the body.

    Only its parent may handle the messages that the worker got from the broker.
    """
    os._exit(0)
