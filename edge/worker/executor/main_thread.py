"""Runs bodies in the main thread, one at a time: signals reach them, and the process is set right after each."""

from __future__ import annotations

import functools
import logging
import os
import socket
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, NoReturn, Protocol

from edge.broker.topology import class_of
from edge.config import Config
from edge.core.invariant import given
from edge.core.wakeup import Wakeup
from edge.model import Failure, FailureCode, PowerStatus, RunningJob
from edge.results.store import Results
from edge.worker.api.checkpoint import Checkpoint, every_s
from edge.worker.api.job import Job
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.execute import Outcome, execute
from edge.worker.power.hold import Hold
from edge.worker.process.control import Control, JobCancelled, JobInterrupted
from edge.worker.process.process_snapshot import ProcessSnapshot
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)


class TaskContext(Protocol):
    """What Celery's users expect around a body; `edge.worker.celery.request` is the real one."""

    def current(
        self, delivery: Delivery, task: TaskKind, *, hostname: str, limit_s: float | None
    ) -> AbstractContextManager[None]:
        """Make `task` Celery's current task inside the block."""

    def ended(self, delivery: Delivery, task: TaskKind, outcome: Outcome) -> None:
        """Log and signal how the body ended; called inside `current`."""


class MainThread:
    """An `Executor` whose bodies end before `begin` returns; publishes their end only where this process ends too."""

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
    ) -> None:
        self._config = config
        self._name = name
        self._celery = celery
        self._hostname = f"{name}@{socket.gethostname()}"
        self._results, self._history = results, history
        self._status, self._control, self._hold, self._wakeup = status, control, hold, wakeup
        self._snapshot: ProcessSnapshot | None = None
        self._current: Attempt | None = None

    @property
    def free_slots(self) -> int:
        """One body at a time."""
        return 1 if self._current is None else 0

    def ended(self) -> Iterable[Attempt]:
        """None: a body has ended when `begin` returns."""
        return ()

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to; callable from any thread."""
        self._control.cancel(job_id)

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Run the body to its end; `power` is the word of the governor that let it in."""
        delivery, task = attempt.delivery, given(attempt.task, "the kind of an admitted job")
        klass = class_of(delivery.queue)
        if self._snapshot is None:  # by now all signals are as they are to stay
            self._snapshot = ProcessSnapshot(self._wakeup.fileno())
        bound: dict[str, Any] = dict(attempt.bound)  # JSON, and the `Job`
        checkpoint = None
        if task.edge_signature.wants_job is not None:
            job, checkpoint = self._job(attempt, task.name)
            bound[task.edge_signature.wants_job] = job
        limit_s = self._limit_s(delivery, task)
        lasting_s = self._status.begin(RunningJob(delivery.id, delivery.task, time.time(), attempt.number))
        self._current = attempt
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
                self._celery.ended(delivery, task, outcome)
        finally:
            self._hold.end()
            self._current = None
            self._history.end()
        energy = meter.end(seconds=outcome.seconds, cpu_seconds=outcome.cpu_seconds, held_s=self._control.held_s)
        attempt.end(outcome, energy)

    def _job(self, attempt: Attempt, name: str) -> tuple[Job, Checkpoint]:
        layout, job_id = self._config.layout, attempt.id
        cuts = attempt.earlier.early_cuts if attempt.earlier is not None else 0
        checkpoint = Checkpoint(layout.checkpoints / f"{job_id}.json", every_s=every_s(cuts))
        job = Job(
            job_id,
            folder=layout.tasks / name,
            files=given(attempt.staging, "the staging of a body").file,
            checkpoint=checkpoint,
            attempt=attempt.number,
            settings=self._config.settings.get(name),
            report=self._status.progress,
            check=self._hold.check,
            stopping=lambda: self._control.ending or self._hold.wanted,
            shield=self._control.shield,
        )
        return job, checkpoint

    def _limit_s(self, delivery: Delivery, task: TaskKind) -> float | None:
        """The submitter's limit, else the task's own; never above the worker's."""
        limits = (delivery.time_limit_s or task.edge_time_limit_s, self._config.worker.time_limit_s)
        return min((limit for limit in limits if limit is not None), default=None)

    def give_up(self, why: BaseException) -> None:
        """The running body swallows every exception: publish its end, for its process is about to end too."""
        if self._current is not None and not isinstance(why, JobInterrupted):
            code = FailureCode.CANCELLED if isinstance(why, JobCancelled) else FailureCode.TIME_LIMIT
            self._results.publish(
                self._current.make_result(Failure(code, f"{why}; it would not end"), worker=self._name)
            )
        self._history.end()
        if self._current is not None and isinstance(why, JobInterrupted):
            self._history.interrupted(self._current.earlier)

    def _wrecked(self) -> NoReturn:
        """The body took what this process lives on: publish its end, and let another process go on."""
        what = "the job closed files (file descriptors) that are its worker's own, or lowered its limits for good"
        try:
            logger.critical("%s; the worker ends, to be started anew", what)
            if self._current is not None:
                self._results.publish(self._current.make_result(Failure(FailureCode.EXIT, what), worker=self._name))
                self._history.drop()
        finally:  # where even that failed, the job counts as one that crashed its worker
            os._exit(os.EX_TEMPFAIL)
