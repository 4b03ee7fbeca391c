"""The one way of every message: looked up, run if it can be, its result durable, and only then acknowledged."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from billiard.einfo import ExceptionInfo
from celery import signals
from celery._state import _task_stack
from celery.utils.log import get_logger
from celery.utils.nodenames import gethostname

from edge.config import Config
from edge.errors import BadArguments, UnknownTask
from edge.jobs.broker import DEAD_NAME
from edge.jobs.results import Results, Staging
from edge.jobs.signature import short
from edge.model import Attempts, Failure, FailureCode, JobState, Result, RunningJob, WorkerState
from edge.worker import delivery as deliveries
from edge.worker.bell import Bell
from edge.worker.checkpoint import Checkpoint
from edge.worker.control import Control, JobCancelled, JobInterrupted
from edge.worker.delivery import Delivery
from edge.worker.execute import Outcome, execute
from edge.worker.history import History
from edge.worker.job import Job
from edge.worker.status import StatusFile

logger = get_logger(__name__)

#: Failures of a body that a further attempt may cure.
_RETRIED = (FailureCode.EXCEPTION, FailureCode.TIME_LIMIT, FailureCode.EXIT)
_HOLD_MAX_S = 30.0


class Door(Protocol):
    """The gate as the runner sees it."""

    def refresh(self) -> None:
        """Look at the power once more, and stop consuming what it no longer allows."""

    def allows(self, queue: str) -> bool:
        """May a message of this queue start now?"""


@dataclass
class Held:
    """A delivery whose files could not be written: tried again until they can."""

    delivery: Delivery
    finish: Callable[[Delivery], None]
    message_lost: bool = False


class Runner:
    """Takes messages in any number, runs one at a time. All but `lock` and `running_id` belong to the main thread."""

    def __init__(
        self,
        app: Any,
        config: Config,
        *,
        name: str,
        status: StatusFile,
        control: Control,
        bell: Bell,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.lock = threading.Lock()
        self.running_id: str | None = None
        self.door: Door | None = None
        self.results = Results(config.layout)
        self.history = History(config.layout, name)
        self._app = app
        self._config = config
        self._name = name
        self._status = status
        self._control = control
        self._bell = bell
        self._later = later
        self._pending: deque[Delivery] = deque()
        self._held: Held | None = None
        self._hold_s = 0.0
        self._current: tuple[Delivery, int] | None = None

    def recover(self) -> None:
        """At the start of the worker: finish what a crash left half done. Raises OSError."""
        self.results.recover()
        self.history.recover()

    def give_up(self, why: BaseException) -> None:
        """The running body swallows every exception: publish its end, for its process is about to end too."""
        if self._current is not None and not isinstance(why, JobInterrupted):
            delivery, attempt = self._current
            code = FailureCode.CANCELLED if isinstance(why, JobCancelled) else FailureCode.TIME_LIMIT
            self.results.publish(self._result(delivery, Failure(code, f"{why}; it would not end"), attempt))
        self.history.end()

    # --- messages -----------------------------------------------------------------------------------------

    def accept(self, queue: str, message: Any, error: BaseException | None = None) -> None:
        """Take a message off the wire; it is run by a later `step`, never inside a read of the connection."""
        delivery = deliveries.read(message, queue, error)
        if self._held is not None and self._held.delivery.id == delivery.id and self._held.message_lost:
            self._held.delivery = delivery
            self._held.message_lost = False
            return
        self._pending.append(delivery)
        self._bell.ring()

    def connection_lost(self) -> None:
        """Forget the messages of a connection that is gone; the broker delivers them again."""
        for delivery in self._pending:
            self.history.give_back(delivery)
        self._pending.clear()
        if self._held is not None:
            self._held.message_lost = True

    def give_back(self, allows: Callable[[str], bool]) -> None:
        """Requeue what waits here and may no longer start."""
        kept: deque[Delivery] = deque()
        for delivery in self._pending:
            if allows(delivery.queue):
                kept.append(delivery)
            else:
                self._requeue(delivery)
        self._pending = kept

    def step(self) -> None:
        """Run one message if there is one and nothing is held; ring again while there are more."""
        if self._held is not None or not self._pending or self._control.stopping:
            return
        delivery = self._pending.popleft()
        if self.door is not None:
            self.door.refresh()
            if not self.door.allows(delivery.queue):
                self._requeue(delivery)
                return
        self._work(delivery, self._process)
        if self._pending:
            self._bell.ring()

    def _requeue(self, delivery: Delivery) -> None:
        logger.info("Task %s[%s] goes back to %s: not enough power", delivery.task, delivery.id, delivery.queue)
        self.history.give_back(delivery)
        delivery.message.requeue()

    def _work(self, delivery: Delivery, work: Callable[[Delivery], None]) -> None:
        """Do `work` with the id known as running, and hold the delivery if the disk refuses."""
        with self.lock:
            self.running_id = delivery.id
        try:
            work(delivery)
        finally:
            with self.lock:
                self.running_id = None

    # --- holding ------------------------------------------------------------------------------------------

    def _hold(self, delivery: Delivery, finish: Callable[[Delivery], None], err: OSError) -> None:
        """Keep a delivery that a failing disk stops; nothing else starts until it is through."""
        self._hold_s = min(self._hold_s * 2 or 1.0, _HOLD_MAX_S)
        lost = self._held.message_lost if self._held is not None else False
        self._held = Held(delivery, finish, lost)
        reason = f"cannot write under {self._config.root}: {err.strerror or err}"
        logger.error(
            "Task %s[%s] is held: %s; trying again in %.0f s", delivery.task, delivery.id, reason, self._hold_s
        )
        self._status.say(state=WorkerState.IDLE, job=None, reason=reason)
        self._later(self._hold_s, self._try_held)

    def _try_held(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            self._work(held.delivery, held.finish)
        finally:
            if self._held is held:  # not held anew: through, or its connection broke and it comes again
                self._held = None
                self._hold_s = 0.0
                self._status.say(reason="")
                self._bell.ring()

    # --- one message --------------------------------------------------------------------------------------

    def _process(self, delivery: Delivery) -> None:
        try:
            go_on = self._prepare(delivery)
        except OSError as err:
            self._hold(delivery, self._process, err)
            return
        go_on()

    def _prepare(self, delivery: Delivery) -> Callable[[], None]:
        """Look at what is known of the job and give what to do next. OSError comes from the disk only."""
        if self.results.has(delivery.id):
            self.results.announce(delivery.id)
            logger.info("Task %s[%s] has its result already", delivery.task, delivery.id)
            return functools.partial(self._done, delivery)
        known = self.history.look(delivery)
        if known is not None and known.failures > delivery.failures:
            logger.info("Task %s[%s]: an old message, its retry is known", delivery.task, delivery.id)
            return functools.partial(self._acknowledge, delivery)
        attempt = 1 + (known.deliveries if known else 0)
        logger.info("Task %s[%s] received", delivery.task, delivery.id)
        failure = delivery.problem or self._condemned(delivery, known)
        if failure is not None:
            return functools.partial(self._fail, delivery, failure, attempt)
        try:
            task = self._task(delivery.task)
            bound = task.edge_signature.bind(delivery.args, delivery.kwargs)
        except UnknownTask as err:
            return functools.partial(self._fail, delivery, Failure(FailureCode.UNKNOWN_TASK, str(err)), attempt)
        except BadArguments as err:
            message = deliveries.clean(str(err))
            return functools.partial(self._fail, delivery, Failure(FailureCode.BAD_ARGUMENTS, message), attempt)
        staging = self.results.stage(delivery.id)
        self.history.begin(delivery.id)
        return functools.partial(self._run, delivery, task, bound, staging, known, attempt)

    def _condemned(self, delivery: Delivery, known: Attempts | None) -> Failure | None:
        if delivery.queue == DEAD_NAME:
            return Failure(FailureCode.DEAD_LETTERED, f"the broker gave up on the message: {_death(delivery.headers)}")
        limit = self._config.worker.max_crashes
        if known is not None and known.crashes >= limit:
            message = f"its worker died {known.crashes} times while it ran (worker.max_crashes = {limit})"
            return Failure(FailureCode.CRASH_LOOP, message)
        return None

    def _task(self, name: str) -> Any:
        tasks = self._app.edge_tasks()
        if name not in tasks:
            raise UnknownTask(name, sorted(tasks))
        return tasks[name]

    def _run(
        self,
        delivery: Delivery,
        task: Any,
        bound: dict[str, Any],
        staging: Staging,
        known: Attempts | None,
        attempt: int,
    ) -> None:
        job = self._job(delivery, task, staging, attempt)
        if task.edge_signature.wants_job is not None:
            bound = {**bound, task.edge_signature.wants_job: job}
        self._status.begin(RunningJob(delivery.id, delivery.task, time.time(), attempt))
        body = functools.partial(task.run, **bound)
        limit_s = self._limit_s(delivery, task)
        self._current = (delivery, attempt)
        _task_stack.push(task)
        task.push_request(
            id=delivery.id,
            args=delivery.args,
            kwargs=delivery.kwargs,
            retries=delivery.failures,
            root_id=delivery.id,
            correlation_id=delivery.id,
            delivery_info=delivery.message.delivery_info,
            hostname=f"{self._name}@{gethostname()}",
            called_directly=False,
            is_eager=False,
            timelimit=(limit_s, None),
        )
        try:
            signals.task_prerun.send(
                sender=task, task_id=delivery.id, task=task, args=delivery.args, kwargs=delivery.kwargs
            )
            outcome = execute(
                self._control, delivery.id, body, limit_s=limit_s, max_bytes=self._config.worker.max_result_bytes
            )
            self._tell(delivery, task, outcome)
        finally:
            task.pop_request()
            _task_stack.pop()
            self._current = None
            self.history.end()
        if outcome.interrupted:
            logger.info("Task %s[%s] interrupted: the worker stops, it runs again later", delivery.task, delivery.id)
            staging.discard()
            return
        self._ended(delivery, outcome, staging, known, attempt)

    def _job(self, delivery: Delivery, task: Any, staging: Staging, attempt: int) -> Job:
        layout = self._config.layout
        return Job(
            delivery.id,
            folder=layout.tasks / task.name,
            files=staging.file,
            checkpoint=Checkpoint(layout.checkpoints / f"{delivery.id}.json"),
            attempt=attempt,
            settings=self._config.settings.get(task.name),
            report=self._status.progress,
            check=self._control.check,
            stopping=lambda: self._control.stopping,
            shield=self._control.shield,
        )

    def _limit_s(self, delivery: Delivery, task: Any) -> float | None:
        """The submitter's limit, else the task's own; never above the worker's."""
        own = delivery.time_limit_s or task.edge_time_limit_s
        top = self._config.worker.time_limit_s
        return min((limit for limit in (own, top) if limit is not None), default=None)

    def _tell(self, delivery: Delivery, task: Any, outcome: Outcome) -> None:
        """Celery's signals and log lines for the end of a body."""
        error = outcome.error
        name, job_id = delivery.task, delivery.id
        if outcome.failure is None and error is None:
            value = short(outcome.value)
            logger.info("Task %s[%s] succeeded in %.6fs: %s", name, job_id, outcome.seconds, value)
            signals.task_success.send(sender=task, result=outcome.value)
            state = "SUCCESS"
        elif outcome.failure is not None:
            failure = outcome.failure
            text = f"{failure.type}: {failure.message}" if failure.type else failure.message
            logger.error("Task %s[%s] failed in %.6fs: %s (%s)", name, job_id, outcome.seconds, text, failure.code)
            signals.task_failure.send(
                sender=task,
                task_id=job_id,
                exception=error,
                args=delivery.args,
                kwargs=delivery.kwargs,
                traceback=error.__traceback__ if error is not None else None,
                einfo=_einfo(error),
            )
            state = "FAILURE"
        else:
            state = "RETRY"
        signals.task_postrun.send(
            sender=task,
            task_id=job_id,
            task=task,
            args=delivery.args,
            kwargs=delivery.kwargs,
            retval=outcome.value if error is None else error,
            state=state,
        )

    def _ended(
        self, delivery: Delivery, outcome: Outcome, staging: Staging, known: Attempts | None, attempt: int
    ) -> None:
        failure = outcome.failure
        if failure is not None and failure.code in _RETRIED and delivery.failures < delivery.retries:
            staging.discard()
            error = f"{failure.type}: {failure.message}" if failure.type else failure.message
            self._retry(known, error, delivery)
            return
        limit = self._config.worker.max_artifact_bytes
        if failure is None and (size := staging.size_bytes()) > limit:
            message = f"the job's files have {size} bytes, more than worker.max_artifact_bytes = {limit}"
            failure = Failure(FailureCode.TOO_LARGE, message)
            staging.discard()
        result = self._result(
            delivery,
            failure,
            attempt,
            value=outcome.encoded if failure is None else None,
            started_at=outcome.started_at,
            seconds=round(outcome.seconds, 6),
            cpu_seconds=round(outcome.cpu_seconds, 6),
        )
        self._publish(result, staging, delivery)

    def _retry(self, known: Attempts | None, error: str, delivery: Delivery) -> None:
        """Record the failure durably; the gateway publishes the job again when it is due."""
        try:
            self.history.failed(delivery, known, error)
        except OSError as err:
            self._hold(delivery, functools.partial(self._retry, known, error), err)
            return
        logger.info("Task %s[%s] will be tried again", delivery.task, delivery.id)
        self._acknowledge(delivery)

    def _fail(self, delivery: Delivery, failure: Failure, attempt: int) -> None:
        logger.error("Task %s[%s] not run: %s (%s)", delivery.task, delivery.id, failure.message, failure.code)
        self._publish(self._result(delivery, failure, attempt), None, delivery)

    def _result(self, delivery: Delivery, failure: Failure | None, attempt: int, **fields: Any) -> Result:
        state = JobState.SUCCEEDED
        if failure is not None:
            state = JobState.CANCELLED if failure.code is FailureCode.CANCELLED else JobState.FAILED
        args, kwargs = _storable(delivery.args, delivery.kwargs)
        return Result(
            delivery.id,
            delivery.task,
            state,
            failure=failure,
            args=args,
            kwargs=kwargs,
            finished_at=time.time(),
            attempts=attempt,
            worker=self._name,
            original_id=delivery.original_id,
            **fields,
        )

    def _publish(self, result: Result, staging: Staging | None, delivery: Delivery) -> None:
        """Make the result durable, then acknowledge; while the disk refuses, hold."""
        try:
            self.results.publish(result, staging)
        except OSError as err:
            if staging is not None and staging.size_bytes():
                # After a failed fsync the artifacts may be gone and look well: only a new run makes them again.
                staging.discard()
                self._hold(delivery, self._process, err)
            else:
                self._hold(delivery, functools.partial(self._publish, result, None), err)
            return
        self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        """The job has its one result: let the message go, and what was kept for another attempt."""
        self._acknowledge(delivery)
        try:
            self.history.attempts.forget(delivery.id)
            (self._config.layout.checkpoints / f"{delivery.id}.json").unlink(missing_ok=True)
        except OSError as err:
            logger.warning("cannot tidy up after %s: %s", delivery.id, err)

    def _acknowledge(self, delivery: Delivery) -> None:
        """Stop consuming first what power no longer allows: the ack lets the next message in."""
        lost = self._held is not None and self._held.delivery is delivery and self._held.message_lost
        if self.door is not None:
            self.door.refresh()
        self._status.say(state=WorkerState.IDLE, job=None)
        if not lost:
            delivery.message.ack()


def _storable(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they can stand in a result; what JSON cannot hold is shown, not kept."""
    try:
        msgspec.json.encode((args, kwargs))
    except Exception:
        try:
            return [deliveries.clean(repr(args))[:1000]], {"kwargs": deliveries.clean(repr(kwargs))[:1000]}
        except Exception:  # nested beyond what repr can follow
            return [], {}
    return args, kwargs


def _einfo(error: BaseException | None) -> ExceptionInfo | None:
    """Billiard's record of an exception, costly, made only when somebody listens."""
    if error is None or not signals.task_failure.receivers:
        return None
    return ExceptionInfo((type(error), error, error.__traceback__))


def _death(headers: dict[str, Any]) -> str:
    """Why a message came to the dead-letter queue, from RabbitMQ's `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
