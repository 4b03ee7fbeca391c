"""Runs many bodies at once, each in its own thread. Everything else stays in the main thread.

The value of a body is encoded in its thread. The main thread then gets the attempt from `ended`, and makes it durable
together with others. Bodies that do not end when asked are abandoned, see `body`. They keep their threads. When too
many threads are lost, the worker ends after the other bodies, and its supervisor starts it again.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from edge.broker.topology import class_of
from edge.config import Config
from edge.core.errors import not_none
from edge.core.wakeup import Wakeup
from edge.model import Failure, FailureCode, PowerState, PowerStatus, RunningJob
from edge.power.energy import calibration
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.history import AttemptHistory, parallel_limit_of
from edge.worker.attempt.outcome import Outcome
from edge.worker.executor.bodies import Bodies
from edge.worker.executor.body import Body
from edge.worker.executor.execute import execute, failure_of
from edge.worker.executor.job_maker import JobMaker
from edge.worker.executor.main_thread import TaskContext
from edge.worker.executor.spawners import settle
from edge.worker.executor.thread_pool import ThreadPool
from edge.worker.power.meter import Meter
from edge.worker.process.control import Control, JobControl, JobInterrupted
from edge.worker.process.process_snapshot import ProcessSnapshot, allow_files
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

#: Files that may be open at once: those of the worker itself, and those of a body (a few sockets, a file, a database).
_FILES = 256
_FILES_PER_BODY = 16
#: The meter of a body gets the power reports only when the body has run for this time.
_METERED_S = 1.0


def too_many(concurrency: int) -> int:
    """Return the number of lost threads at which the worker ends, so that its supervisor starts it again."""
    return min(concurrency, max(2, concurrency // 4))


class Threads:
    """An `Executor` whose bodies run in other threads. Belongs to the main thread, except `cancel`."""

    def __init__(
        self,
        config: Config,
        *,
        name: str,
        concurrency: int,
        history: AttemptHistory,
        control: Control,
        status: StatusFile,
        bodies: Bodies,
        wakeup: Wakeup,
        celery: TaskContext,
        jobs: JobMaker,
    ) -> None:
        """Make the executor. `wakeup` makes the event loop call `ended`; `concurrency` is the number of threads."""
        self._config = config
        _, self._cpu_watts = calibration.watts(config)
        self._concurrency = concurrency
        self._history, self._control, self._wakeup, self._celery = history, control, wakeup, celery
        self._status = status
        self._hostname = f"{name}@{socket.gethostname()}"
        self._jobs = jobs
        self._pool = ThreadPool()
        self._bodies = bodies
        self._attempts: dict[str, Attempt] = {}
        self._parallel_limits: dict[str, int] = {}  # for each running suspect the number that may run at once
        self._cancelled: set[str] = set()  # ids of cancelled jobs that run or are about to run
        self._done: deque[Body] = deque()  # each thread appends its body here at the end
        self._lost = 0  # threads whose bodies were abandoned and still run
        self._power = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        self._is_due = False  # another thread changed the time at which a body must end
        self._look_at: float | None = None  # monotonic time at which something comes due for a body
        self._snapshot: ProcessSnapshot | None = None

    @property
    def in_threads(self) -> bool:
        """True: `begin` returns at once."""
        return True

    @property
    def busy(self) -> bool:
        """True while a body runs, or has ended and `ended` has not returned it yet. Abandoned bodies do not count."""
        return bool(self._bodies)

    @property
    def exhausted(self) -> bool:
        """True when too many threads are lost. Then the worker must end, and its supervisor starts it again."""
        return self._lost >= too_many(self._concurrency)

    @property
    def has_lost_threads(self) -> bool:
        """True while abandoned bodies still run. The process must not wait for them."""
        return self._lost > 0

    @property
    def free_slots(self) -> int:
        """Number of threads in which a body may begin now."""
        return max(self._concurrency - len(self._bodies) - self._lost, 0)

    def admits(self, parallel_limit: int) -> bool:
        """Return True if a body may begin now. Suspects run only together with a few other suspects."""
        running = len(self._bodies)
        if not parallel_limit:
            return not self._parallel_limits
        return len(self._parallel_limits) == running < min((parallel_limit, *self._parallel_limits.values()))

    def runs(self, job_id: str) -> bool:
        """Return True while the body of `job_id` runs, or has ended and `ended` has not returned it yet."""
        return job_id in self._attempts

    def join(self, delivery: Delivery) -> bool:
        """Add a copy of the message of a running job. It is acknowledged together with the first message.

        Return False, without adding it, if it is the message of a later retry. That happens if another worker ended an
        attempt at the job meanwhile.
        """
        attempt = self._attempts[delivery.id]
        if delivery.failures > attempt.delivery.failures:
            return False
        attempt.join(delivery)
        return True

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Begin the body in a thread. Raises OSError if no thread can be started. Then the caller tries again later."""
        delivery, task = attempt.delivery, not_none(attempt.task, "the kind of an admitted job")
        if self._snapshot is None:  # at the first body, when all signal handlers are installed
            allow_files(_FILES + self._concurrency * _FILES_PER_BODY)
            self._snapshot = ProcessSnapshot(self._wakeup.fileno())
        limit_s = self._jobs.limit_s(delivery, task)
        body = Body(
            RunningJob(delivery.id, delivery.task, time.time(), attempt.number),
            class_of(delivery.queue),
            power,
            limit_s=limit_s,
            max_temp_c=delivery.max_temp_c,
            holds=self._config.worker.running_job != "finish",
            on_change=self._bodies.changed,
            on_resume=self._look_now,
        )
        bound, checkpoint = self._jobs.bind(attempt, task, body)
        attempt.begin(Meter(self._cpu_watts, power, alone=False, memory=bool(self._config.scaled)), checkpoint)
        self._bodies.add(body)
        self._attempts[body.id] = attempt
        if body.id in self._cancelled:
            body.cancel()
        if parallel_limit := parallel_limit_of(attempt.earlier.suspects if attempt.earlier is not None else 0):
            self._parallel_limits[body.id] = parallel_limit
        try:
            self._pool.submit(
                functools.partial(self._run, body, functools.partial(task.run, **bound), attempt, limit_s)
            )
        except RuntimeError as err:
            self._forget(body)
            raise OSError(errno.EAGAIN, f"no thread for a body: {err}") from err
        if limit_s is not None:
            self._look_by(time.monotonic() + limit_s)

    def ended(self) -> list[Attempt]:
        """Return the attempts whose bodies have ended, or were abandoned, since the last call. Raises OSError."""
        self._cancelled.clear()  # no body is about to begin at this moment
        self._interrupt_due()
        ended = list[Attempt]()
        while self._done:
            body = self._done.popleft()
            if body.abandoned:
                self._lost -= 1
                logger.info("the abandoned body of %s has ended", body.id)
            elif body.outcome is not None:
                ended.append(self._close(body, body.outcome))
        if ended and self._snapshot is not None and not self._snapshot.restore():
            self._wrecked()
        for body in self._bodies:
            if (why := body.give_up(time.monotonic())) is not None:
                ended.append(self._abandon(body, why))
        if self._bodies.is_changed:
            self._status.changed()
        if ended:
            self._history.end(*(attempt.id for attempt in ended))
        return ended

    def apply_power(self, power: PowerStatus) -> None:
        """Apply a new report of the governor to all bodies."""
        if power is self._power:
            return
        self._power = power
        for body in self._bodies:
            body.apply_power(power, grace_s=self._config.power.critical.grace_s)
            meter = self._attempts[body.id].meter
            if meter is not None and time.monotonic() - meter.began > _METERED_S:
                meter.note(power)
        if self._bodies:
            self._look_by(time.monotonic())

    def due_in_s(self) -> float | None:
        """Return the seconds until something comes due for a body, or None if nothing will."""
        return None if self._look_at is None else max(self._look_at - time.monotonic(), 0.0)

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to run. Callable from any thread."""
        self._cancelled.add(job_id)  # before the look-up: the main thread may be adding the body right now
        if (body := self._bodies.get(job_id)) is not None:
            body.cancel()
            self._look_now()

    # --- inside -------------------------------------------------------------------------------------------

    def _run(self, body: Body, call: Callable[[], object], attempt: Attempt, limit_s: float | None) -> None:
        """Run one body. Called in its thread."""
        thread, delivery = threading.current_thread(), attempt.delivery
        task = not_none(attempt.task, "the kind of an admitted job")
        thread.name = f"job {delivery.id}"  # shown in each line of the log
        try:
            self._run_in(body, call, attempt, task, limit_s)
        except BaseException as err:  # a fault of the worker
            logger.exception("the body of %s cannot be run", delivery.id)
            what = clean(f"the worker failed to handle this job: {type(err).__name__}: {err}")
            body.finish(Outcome(failure=Failure(FailureCode.INTERNAL, what, type(err).__name__), error=err))
        finally:
            thread.name = "idle"
            self._done.append(body)
            self._wakeup.wake()

    def _run_in(
        self, body: Body, call: Callable[[], object], attempt: Attempt, task: TaskKind, limit_s: float | None
    ) -> None:
        delivery = attempt.delivery
        with self._celery.current(delivery, task, hostname=self._hostname, limit_s=limit_s):
            outcome = execute(
                body,
                delivery.id,
                call,
                limit_s=limit_s,
                max_bytes=self._config.worker.max_result_bytes,
                cpu_s=time.thread_time,
            )
            outcome = settle(attempt, outcome)
            if body.finish(outcome):
                self._celery.ended(delivery, task, outcome)

    def _look_now(self) -> None:
        """Make the main thread check which bodies must end. Callable from any thread."""
        self._is_due = True
        self._wakeup.wake()

    def _interrupt_due(self) -> None:
        """Interrupt the bodies that must end now."""
        now = time.monotonic()
        due, self._is_due = self._is_due, False  # before the check: a thread that sets it later wakes afterwards
        stop_at = self._control.stop_at
        if stop_at is not None:
            for body in self._bodies:
                body.stop(stop_at)
        elif not due and (self._look_at is None or now < self._look_at):
            return
        times = [at for body in self._bodies if (at := body.interrupt_if_due(now)) is not None]
        self._look_at = min(times, default=None)

    def _look_by(self, at: float) -> None:
        if self._look_at is None or at < self._look_at:
            self._look_at = at

    def _close(self, body: Body, outcome: Outcome) -> Attempt:
        attempt = self._attempts[body.id]
        energy = not_none(attempt.meter, "the meter of a body").end(
            seconds=outcome.seconds,
            cpu_seconds=outcome.cpu_seconds + (body.usage.cpu_s if body.usage is not None else 0.0),
            held_s=body.held_s,
            usage=body.usage,
        )
        self._forget(body)
        attempt.end(outcome, energy)
        return attempt

    def _abandon(self, body: Body, why: JobControl) -> Attempt:
        """Abandon a body that did not end when asked. Its job ends without it, and its files are removed."""
        seconds, cpu_s = body.spent()
        attempt = self._attempts[body.id]
        not_none(attempt.staging, "the staging of a body").discard()
        interrupted = isinstance(why, JobInterrupted)
        failure = None
        if not interrupted:
            failure = failure_of(why)
            failure = Failure(failure.code, f"{why}; it would not end")
        self._lost += 1
        logger.error(
            "Task %s[%s] would not end: %s; it is abandoned and keeps its thread (%d of %d threads are lost)",
            *(attempt.delivery.task, body.id, why, self._lost, self._concurrency),
        )
        started_at = body.running_job.started_at
        outcome = Outcome(
            failure=failure,
            error=why,
            interrupted=interrupted,
            started_at=started_at,
            seconds=seconds,
            cpu_seconds=cpu_s,
            abandoned=True,
        )
        self._close(body, settle(attempt, outcome))
        if self.exhausted and not self._control.stopping:
            logger.critical(
                "%d bodies would not end, of %d that may run at once: no further one begins. The worker ends when the "
                "others have ended, and its supervisor starts it again",
                *(self._lost, self._concurrency),
            )
            self._control.stop()
        return attempt

    def _forget(self, body: Body) -> None:
        self._bodies.remove(body)
        self._attempts.pop(body.id, None)
        self._parallel_limits.pop(body.id, None)

    def _wrecked(self) -> NoReturn:
        """End the process after a body closed descriptors of the worker. The mark names the possible culprits."""
        logger.critical(
            "a job closed files (file descriptors) of its worker, or lowered the worker's limits permanently; the "
            "worker ends, and its supervisor starts it again"
        )
        os._exit(os.EX_TEMPFAIL)
