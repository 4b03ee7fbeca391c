"""Runs bodies in the main thread, one at a time. Signals interrupt them, and the process is restored after each."""

from __future__ import annotations

import functools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

from edge.broker.topology import class_of
from edge.config import Config
from edge.core.errors import not_none
from edge.core.wakeup import Wakeup
from edge.model import Failure, FailureCode, PowerStatus, Progress, RunningJob
from edge.results.store import Results
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.execute import Outcome, execute
from edge.worker.executor.job_maker import JobMaker
from edge.worker.executor.spawners import settle
from edge.worker.power.hold import Hold
from edge.worker.power.meter import Usage
from edge.worker.process.control import Control, JobCancelled, JobInterrupted
from edge.worker.process.process_snapshot import ProcessSnapshot
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)


class TaskContext(Protocol):
    """Makes Celery's current task and signals available to a body. `edge.worker.celery.request` implements it."""

    def current(
        self, delivery: Delivery, task: TaskKind, *, hostname: str, limit_s: float | None
    ) -> AbstractContextManager[None]:
        """Make `task` Celery's current task inside the block."""

    def ended(self, delivery: Delivery, task: TaskKind, outcome: Outcome) -> None:
        """Log how the body ended and send Celery's signal for it. Called inside `current`."""


class MainThread:
    """An `Executor` whose bodies end before `begin` returns.

    It publishes a result itself only if the process has to end together with the body. Belongs to the main thread,
    except `cancel`.
    """

    def __init__(
        self,
        config: Config,
        *,
        name: str,
        results: Results,
        history: AttemptHistory,
        status: StatusFile,
        control: Control,
        hold: Hold,
        wakeup: Wakeup,
        celery: TaskContext,
        jobs: JobMaker,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._name = name
        self._celery = celery
        self._hostname = f"{name}@{socket.gethostname()}"
        self._results, self._history = results, history
        self._status, self._control, self._hold, self._wakeup = status, control, hold, wakeup
        self._snapshot: ProcessSnapshot | None = None
        self._current: Attempt | None = None
        self._usage: Usage | None = None  # of the program that the current body runs

    @property
    def in_threads(self) -> bool:
        """False: a body has ended when `begin` returns."""
        return False

    @property
    def busy(self) -> bool:
        """True while the body runs."""
        return self._current is not None

    @property
    def free_slots(self) -> int:
        """1 if no body runs, else 0."""
        return 1 if self._current is None else 0

    def ended(self) -> Iterable[Attempt]:
        """Return no attempts: a body has ended when `begin` returns."""
        return ()

    def admits(self, parallel_limit: int) -> bool:  # noqa: ARG002 - a body is alone here
        """Return True: a body runs alone."""
        return True

    def runs(self, job_id: str) -> bool:  # noqa: ARG002
        """Return False: this is called between two bodies."""
        return False

    def join(self, delivery: Delivery) -> bool:  # noqa: ARG002
        """Return False: no body runs."""
        return False

    def apply_power(self, power: PowerStatus) -> None:
        """Do nothing: a running body watches the power itself."""

    def due_in_s(self) -> float | None:
        """Return None: nothing comes due between two bodies."""
        return None

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to run. Callable from any thread."""
        self._control.cancel(job_id)

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Run the body to its end; `power` is the governor's report that allowed it."""
        delivery, task = attempt.delivery, not_none(attempt.task, "the kind of an admitted job")
        klass = class_of(delivery.queue)
        if self._snapshot is None:  # at the first body, when all signal handlers are installed
            self._snapshot = ProcessSnapshot(self._wakeup.fileno())
        bound, checkpoint = self._jobs.bind(attempt, task, self)
        limit_s = self._jobs.limit_s(delivery, task)
        lasting_s = self._status.begin(RunningJob(delivery.id, delivery.task, time.time(), attempt.number))
        self._current, self._usage = attempt, None
        meter = self._hold.begin(delivery.id, klass, power, max_temp_c=delivery.max_temp_c)
        attempt.begin(meter, checkpoint)
        try:
            with self._celery.current(delivery, task, hostname=self._hostname, limit_s=limit_s):
                outcome = execute(
                    self._control,
                    delivery.id,
                    functools.partial(task.run, **bound),
                    limit_s=limit_s,
                    max_bytes=self._config.worker.max_result_bytes,
                    lasting_s=lasting_s,
                )
                if not self._snapshot.restore():
                    self._wrecked()
                outcome = settle(attempt, outcome)
                self._celery.ended(delivery, task, outcome)
        finally:
            self._hold.end()
            self._current = None
            self._history.end(delivery.id)
        energy = meter.end(
            seconds=outcome.seconds,
            cpu_seconds=outcome.cpu_seconds,
            held_s=self._control.held_s,
            usage=self._usage,
        )
        attempt.end(outcome, energy)

    # --- called by the `Job` of a body ----------------------------------------------------------------------

    def progress(self, progress: Progress) -> None:
        """Write the progress of the body to the status."""
        self._status.progress(progress)

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        """Return `path_of` unchanged, because signals interrupt the body anyway."""
        return path_of

    def stopping(self) -> bool:
        """Return True if the body must save its state now, because it will end or be held soon."""
        return self._control.ending or self._hold.wanted

    def shield(self) -> AbstractContextManager[None]:
        """Let signals raise nothing inside the block."""
        return self._control.shield()

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return as soon as the body may continue; raise if it must end. The arguments are those of `Hold.check`."""
        self._hold.check(saved=saved, patient=patient, save=save)

    @property
    def ending(self) -> bool:
        """True when the body must save its state and end."""
        return self._control.ending

    def waking(self, wakeup: Wakeup) -> AbstractContextManager[None]:
        """Ring `wakeup` at each signal in the block. Cancel, limit, stop and a change of power come as signals."""
        return wakeup.hearing()

    def used(self, usage: Usage) -> None:
        """Note the resources that the body's program used."""
        self._usage = usage

    # --- if the process ends together with its body ---------------------------------------------------------

    def give_up(self, why: BaseException) -> None:
        """Publish the end of a body that catches every exception: the process is about to end. Raises OSError."""
        if self._current is not None and not isinstance(why, JobInterrupted):
            code = FailureCode.CANCELLED if isinstance(why, JobCancelled) else FailureCode.TIME_LIMIT
            self._hand_over(self._current)
            self._results.publish(
                self._current.make_result(Failure(code, f"{why}; it would not end"), worker=self._name)
            )
        self._history.end()
        if self._current is not None and isinstance(why, JobInterrupted):
            self._history.interrupted(self._current.earlier)

    def _hand_over(self, attempt: Attempt) -> None:
        try:
            attempt.hand_over()
        except OSError as err:  # the process has to end, so the result cannot wait for the disk
            logger.error("the jobs that job %s spawned last are lost: %s", attempt.id, err)

    def _wrecked(self) -> NoReturn:
        """Publish the end of a body that closed descriptors of the worker, and end the process. A new one continues."""
        what = "the job closed files (file descriptors) of its worker, or lowered the worker's limits permanently"
        try:
            logger.critical("%s; the worker ends, and its supervisor starts it again", what)
            if self._current is not None:
                self._hand_over(self._current)
                self._results.publish(self._current.make_result(Failure(FailureCode.EXIT, what), worker=self._name))
                self._history.drop()
        finally:  # if that fails too, the mark is still there, and this counts as a crash of the job
            os._exit(os.EX_TEMPFAIL)
