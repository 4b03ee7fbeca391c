"""How a running body is interrupted: cancelled, out of its time, or stopped with its worker.

The limit of a body does not count the time in which the body was held or frozen for want of power.
Signals arrive in the main thread, where the body runs. Their handler raises an exception in the body, and only
there: it looks whether the interrupted frame lies below `_enter`, so nothing of ours is ever cut in two.
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

#: A body that swallows the exception gets it again after this time ...
AGAIN_S = 2.0
#: ... and after so many times its worker gives up on it.
PATIENCE = 10
_GIVEN_UP_S = AGAIN_S * PATIENCE * 2

_STOPS = "the worker stops"
#: `signal.getsignal` without the enum that it makes of each answer: it is asked for eight signals before each body.
_handler: Callable[[int], object] = import_module("_signal").getsignal
_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

T = TypeVar("T")


class JobControl(BaseException):
    """Raised in a body from outside; derives from BaseException so that `except Exception` lets it pass."""


class JobCancelled(JobControl):
    """Somebody cancelled the job."""


class JobTimedOut(JobControl):
    """The job's time is over."""


class JobInterrupted(JobControl):
    """The worker stops; the job starts again later, from its checkpoint."""


class Control:
    """Watches over the one body that runs. The callbacks are called in the signal handler: when the worker is to stop,
    when a body will not end, when one has run for a moment, and when SIGIO tells that power may have changed.
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
        """`frozen_s` tells how long this process has been frozen in all."""
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
        self._deadline: float | None = None  # by the body's own clock, see `_own`
        self._limit_s = 0.0
        self._stop_at = 0.0
        self._shields = 0
        self._raised: JobControl | None = None
        self._swallowed = 0
        self._handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            **dict.fromkeys(map(int, _STOP), self._on_stop_signal),
            **dict.fromkeys(map(int, (signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT)), self._on_signal),
            int(signal.SIGIO): self._on_power_signal,
        }

    def install(self) -> None:
        """Take the signals; called again before each body, for a body may have taken them for itself."""
        for number, handler in self._handlers.items():
            now = _handler(number)
            if now is not handler and not (number in _STOP and now == signal.SIG_IGN):  # nohup stays nohup
                signal.signal(number, handler)

    @staticmethod
    def uninstall() -> None:
        """Give the signals back to the kernel: in a child that a body forks, ours would make it immortal."""
        for number in (*_STOP, signal.SIGUSR1, signal.SIGALRM, signal.SIGCONT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    @property
    def overdue(self) -> bool:
        """True when a body still runs long after it should have been ended for its limit; callable from any thread."""
        deadline = self._deadline
        if self._job_id is None or deadline is None:
            return False
        return self._own(time.monotonic()) > deadline + _GIVEN_UP_S

    @property
    def held_s(self) -> float:
        """How long the body that runs, or ran last, was held and frozen in all."""
        return self._away_s(time.monotonic())

    @property
    def ending(self) -> bool:
        """True when the body has its grace and no more: it is to end, or to save what it has."""
        return self.stopping or self._leave_at is not None

    @property
    def due(self) -> bool:
        """True when the body is to come to its end, at once or within its grace."""
        return self.ending or self._due(time.monotonic()) is not None

    def cancel(self, job_id: str) -> None:
        """Cancel `job_id` if it is the one that runs or is about to; callable from any thread."""
        self._cancelled_id = job_id
        signal.pthread_kill(self._main, signal.SIGUSR1)

    def run(self, job_id: str, body: Callable[[], T], *, limit_s: float | None, lasting_s: float | None = None) -> T:
        """What `body()` returns. Raises JobControl when it was cancelled, timed out or stopped, else what it raises.

        A body that swallowed a cancel or a time limit and returned all the same does not get away with it; one that
        swallowed a stop is done. `on_lasting` is called once the body has run for `lasting_s`.
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
            value = _enter(body)
        finally:
            self._job_id = None
            signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(self._raised, JobCancelled | JobTimedOut):
            raise self._raised
        return value

    def check(self, *, saved: bool = False) -> None:
        """Raise in the body's own time what is due; the end of a grace is due at once when all progress is `saved`."""
        if self._job_id is None:
            return
        why = self._due(time.monotonic())
        if why is None and self.ending and saved:
            why = JobInterrupted(_STOPS if self.stopping else self._why_leave)
        if why is not None:
            self._raised = why
            raise why

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Nothing is raised from a signal inside the block; what came due is raised at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    @contextmanager
    def holding(self, wake: Callable[[], None]) -> Iterator[None]:
        """The body waits for power inside the block: its time stands still, nothing is raised, and each signal calls
        `wake`. Call `check` after it.
        """
        self._wake = wake
        self._shields += 1
        self._lasting_at = None  # `on_lasting` is not needed: whoever holds a body reports that it lasts
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

    def leave(self, grace_s: float, why: str) -> None:
        """Give the running body this long to end or to reach a checkpoint, then interrupt it. In the main thread."""
        if self._leave_at is None and self._job_id is not None:
            now = time.monotonic()
            self._leave_at, self._why_leave = now + grace_s, why
            self._arm(now)

    def stay(self) -> None:
        """Take `leave` back: power came back within the grace."""
        self._leave_at = None

    def stop(self) -> None:
        """Let the worker come to its end, as a signal would; for when no body runs."""
        self.stopping = True
        self._on_stop()

    def _on_stop_signal(self, _number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        stop_at = now if self.stopping else now + self._grace_s  # asked twice: no grace
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
        if self._lasting_at is not None and now >= self._lasting_at and not self._shields:
            self._lasting_at = None
            self._shields += 1  # nothing of ours is cut in two
            try:
                self._on_lasting()
            finally:
                self._shields -= 1
            now = time.monotonic()
        self._wake()
        why = self._due(now)
        self._arm(now)
        if why is None or self._shields or not _below_enter(frame):
            return
        if self._raised is not None:
            self._swallowed += 1
            if self._swallowed > PATIENCE:
                self._on_stubborn(why)
        self._raised = why
        raise why

    def _due(self, now: float) -> JobControl | None:
        if self._cancelled_id is not None and self._cancelled_id == self._job_id:
            return JobCancelled("the job was cancelled while it ran")
        if self._deadline is not None and self._own(now) >= self._deadline:
            return JobTimedOut(f"the job ran longer than its limit of {self._limit_s:g} s")
        if self.stopping and now >= self._stop_at:
            return JobInterrupted(_STOPS)
        if self._leave_at is not None and now >= self._leave_at:
            return JobInterrupted(self._why_leave)
        return None

    def _away_s(self, now: float) -> float:
        held_at = self._held_at
        frozen_s = self._frozen_s() - self._frozen_before_s
        return self._held_s + frozen_s + (now - held_at if held_at is not None else 0.0)

    def _own(self, now: float) -> float:
        """The body's own clock: it stands still while the body is held or frozen."""
        return now - self._away_s(now)

    def _arm(self, now: float) -> None:
        """Set the alarm for the next thing that comes due, or for saying it again."""
        if self._due(now) is not None:
            delay = AGAIN_S
        else:
            stop_at = self._stop_at if self.stopping else None
            deadline = None
            if self._deadline is not None and self._held_at is None:
                deadline = self._deadline + self._away_s(now)
            times = [at for at in (deadline, stop_at, self._leave_at, self._lasting_at) if at is not None]
            delay = max(min(times) - now, 0.001) if times else 0.0
        signal.setitimer(signal.ITIMER_REAL, delay)


def _enter(body: Callable[[], T]) -> T:
    """The border: exceptions of `Control` are raised in frames below this one only."""
    return body()


def _below_enter(frame: FrameType | None) -> bool:
    if frame is None or frame.f_code is _enter.__code__:
        return False
    while frame is not None:
        if frame.f_code is _enter.__code__:
            return True
        frame = frame.f_back
    return False


def exit_fork() -> None:
    """End a forked child that fell out of the body it was forked in: the parent's messages are not its own."""
    os._exit(0)
