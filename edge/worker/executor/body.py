"""Runs the body of a job in the main thread: its `Job`, its limits, the process around it set right afterwards."""

from __future__ import annotations

import functools
import logging
import os
import socket
import time
from contextlib import AbstractContextManager
from typing import Any, NoReturn, Protocol

from edge.broker.topology import queue_name
from edge.config import Config
from edge.core.invariant import given
from edge.core.wakeup import Wakeup
from edge.model import Energy, Failure, FailureCode, Power, PowerStatus, RunningJob
from edge.results.store import Results
from edge.worker.api.checkpoint import Checkpoint, every_s
from edge.worker.api.job import Job
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.execute import Outcome, execute
from edge.worker.power.hold import Hold
from edge.worker.process.control import Control, JobCancelled, JobInterrupted
from edge.worker.process.process_snapshot import ProcessSnapshot
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

_CLASSES = {queue_name(power): power for power in Power}


class TaskContext(Protocol):
    """What Celery's users expect around a body; `edge.worker.celery.request` is the real one."""

    def current(
        self, delivery: Delivery, task: Any, *, hostname: str, limit_s: float | None
    ) -> AbstractContextManager[None]:
        """Make `task` Celery's current task inside the block."""

    def ended(self, delivery: Delivery, task: Any, outcome: Outcome) -> None:
        """Log and signal how the body ended; called inside `current`."""


class BodyRunner:
    """One body at a time; publishes its end only where this process ends with it."""

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
        bell: Wakeup,
        celery: TaskContext,
    ) -> None:
        self._config = config
        self._name = name
        self._celery = celery
        self._hostname = f"{name}@{socket.gethostname()}"
        self._results, self._history = results, history
        self._status, self._control, self._hold, self._bell = status, control, hold, bell
        self._scene: ProcessSnapshot | None = None
        self._current: Attempt | None = None

    def run(self, case: Attempt, task: Any, bound: dict[str, Any], said: PowerStatus) -> tuple[Outcome, Energy]:
        """Run the body of `task` to its end; `said` is the word of the governor that let it in."""
        delivery = case.delivery
        job = self._job(case, task)
        if task.edge_signature.wants_job is not None:
            bound = {**bound, task.edge_signature.wants_job: job}
        limit_s = self._limit_s(delivery, task)
        told = self._status.begin(RunningJob(delivery.id, delivery.task, time.time(), case.attempt))
        self._current = case
        klass = _CLASSES.get(delivery.queue, Power.NORMAL)
        if self._scene is None:  # by now all signals are as they are to stay
            self._scene = ProcessSnapshot(self._bell.fileno())
        meter = self._hold.begin(delivery.id, klass, said, max_temp_c=delivery.max_temp_c)
        try:
            with self._celery.current(delivery, task, hostname=self._hostname, limit_s=limit_s):
                outcome = execute(
                    self._control,
                    delivery.id,
                    functools.partial(task.run, **bound),
                    limit_s=limit_s,
                    max_bytes=self._config.worker.max_result_bytes,
                    tell=not told,
                )
                if not self._scene.restore():
                    self._wrecked()
                self._celery.ended(delivery, task, outcome)
        finally:
            self._hold.end()
            self._current = None
            self._history.end()
        return outcome, meter.end(seconds=outcome.seconds, cpu_seconds=outcome.cpu_seconds, held_s=self._control.held_s)

    def _job(self, case: Attempt, task: Any) -> Job:
        layout, job_id = self._config.layout, case.delivery.id
        cuts = case.known.early_cuts if case.known is not None else 0
        return Job(
            job_id,
            folder=layout.tasks / task.name,
            files=given(case.staging, "the staging of a body").file,
            checkpoint=Checkpoint(layout.checkpoints / f"{job_id}.json", every_s=every_s(cuts)),
            attempt=case.attempt,
            settings=self._config.settings.get(task.name),
            report=self._status.progress,
            check=self._hold.check,
            stopping=lambda: self._control.ending or self._hold.wanted,
            shield=self._control.shield,
        )

    def _limit_s(self, delivery: Delivery, task: Any) -> float | None:
        """The submitter's limit, else the task's own; never above the worker's."""
        limits = (delivery.time_limit_s or task.edge_time_limit_s, self._config.worker.time_limit_s)
        return min((limit for limit in limits if limit is not None), default=None)

    def give_up(self, why: BaseException) -> None:
        """The running body swallows every exception: publish its end, for its process is about to end too."""
        if self._current is not None and not isinstance(why, JobInterrupted):
            code = FailureCode.CANCELLED if isinstance(why, JobCancelled) else FailureCode.TIME_LIMIT
            self._results.publish(self._current.result(Failure(code, f"{why}; it would not end"), worker=self._name))
        self._history.end()
        if self._current is not None and isinstance(why, JobInterrupted):
            self._history.interrupted(self._current.known)

    def _wrecked(self) -> NoReturn:
        """The body took what this process lives on: publish its end, and let another process go on."""
        what = "the job closed files (file descriptors) that are its worker's own, or lowered its limits for good"
        try:
            logger.critical("%s; the worker ends, to be started anew", what)
            if self._current is not None:
                self._results.publish(self._current.result(Failure(FailureCode.EXIT, what), worker=self._name))
                self._history.drop()
        finally:  # where even that failed, the job counts as one that crashed its worker
            os._exit(os.EX_TEMPFAIL)
