"""The one way of every message: looked up, run if it can be, its result durable, and only then acknowledged."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from amqp.exceptions import AMQPError
from celery.utils.log import get_logger
from celery.utils.nodenames import gethostname

from edge.config import Config
from edge.errors import BadArguments, UnknownTask
from edge.host import clock_synchronised
from edge.jobs.broker import DEAD_NAME, queue_name
from edge.jobs.results import Results, Staging
from edge.model import (
    Attempts,
    Energy,
    Failure,
    FailureCode,
    Held,
    JobState,
    Power,
    PowerState,
    PowerStatus,
    Result,
    RunningJob,
)
from edge.worker import request
from edge.worker.bell import Bell
from edge.worker.brownout import suspected
from edge.worker.checkpoint import Checkpoint, every_s
from edge.worker.control import Control, JobCancelled, JobInterrupted
from edge.worker.delivery import Delivery, clean
from edge.worker.execute import Outcome, execute, failure_of
from edge.worker.fit import Kinds, too_hot, too_much
from edge.worker.history import History
from edge.worker.hold import Hold
from edge.worker.inbox import Inbox
from edge.worker.job import Job
from edge.worker.scene import Scene
from edge.worker.status import StatusFile

logger = get_logger(__name__)

_TOMBSTONES_KEPT = 3  # times `retention.keep_days`: no message comes back that late

_CLASSES = {queue_name(power): power for power in Power}
_UNSAID = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
#: Failures of a body that a further attempt may cure.
_RETRIED = (FailureCode.EXCEPTION, FailureCode.TIME_LIMIT, FailureCode.EXIT)


@dataclass(frozen=True)
class Case:
    """A delivery with what is known of its job, and the place for this attempt's files."""

    delivery: Delivery
    known: Attempts | None
    staging: Staging | None = None

    @property
    def attempt(self) -> int:
        """This body is the so many-th to begin."""
        return 1 + (self.known.deliveries if self.known is not None else 0)


class Runner:
    """Makes a result of a message. Runs in the main thread."""

    def __init__(
        self,
        app: Any,
        config: Config,
        *,
        name: str,
        status: StatusFile,
        control: Control,
        hold: Hold,
        bell: Bell,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.results = Results(config.layout)
        self.history = History(config.layout, name, early_cut_s=config.worker.early_cut_s)
        self.inbox = Inbox(
            root=config.root,
            status=status,
            history=self.history,
            control=control,
            bell=bell,
            later=later,
            process=self._process,
            objection=self._objection,
        )
        self.kinds = Kinds(config.layout.kinds(name))
        self._app = app
        self._config = config
        self._name = name
        self._hostname = f"{name}@{gethostname()}"
        self._status = status
        self._control = control
        self._hold = hold
        self._bell = bell
        self._scene: Scene | None = None
        self._current: Case | None = None

    def recover(self) -> None:
        """At the start of the worker: finish what a crash left half done. Raises OSError."""
        keep_s = _TOMBSTONES_KEPT * self._config.retention.keep_days * 86_400
        self.results.recover(forget_before=time.time() - keep_s if clock_synchronised() else None)
        self.history.recover()

    def give_up(self, why: BaseException) -> None:
        """The running body swallows every exception: publish its end, for its process is about to end too."""
        if self._current is not None and not isinstance(why, JobInterrupted):
            code = FailureCode.CANCELLED if isinstance(why, JobCancelled) else FailureCode.TIME_LIMIT
            self.results.publish(self._result(self._current, Failure(code, f"{why}; it would not end")))
        self.history.end()
        if self._current is not None and isinstance(why, JobInterrupted):
            self.history.interrupted(self._current.known)

    def _wrecked(self) -> NoReturn:
        """The body took what this process lives on: publish its end, and let another process go on."""
        what = "the job closed files (file descriptors) that are its worker's own, or lowered its limits for good"
        try:
            logger.critical("%s; the worker ends, to be started anew", what)
            if self._current is not None:
                self.results.publish(self._result(self._current, Failure(FailureCode.EXIT, what)))
                self.history.drop()
        finally:  # where even that failed, the job counts as one that crashed its worker
            os._exit(os.EX_TEMPFAIL)

    # --- before the body ----------------------------------------------------------------------------------

    def _objection(self, delivery: Delivery, parked: bool) -> Held | None:
        """Why this job is not begun now although its class may be: too hot for it, or more than is left."""
        said = self._said
        hot = too_hot(delivery.max_temp_c, said, held=parked)
        why = hot or too_much(self.kinds.expected(delivery.task), said, self._config.power)
        return why if why is not None and not self.results.has(delivery.id) else None

    @property
    def _said(self) -> PowerStatus:
        return self.inbox.door.said if self.inbox.door is not None else _UNSAID

    def _process(self, delivery: Delivery) -> None:
        try:
            go_on = self._prepare(delivery)
        except OSError as err:
            self.inbox.hold(delivery, self._process, err)
            return
        except Exception as err:  # a fault of ours must not stop the jobs behind it
            logger.exception("Task %s[%s] cannot be handled", delivery.task, delivery.id)
            go_on = functools.partial(self._fail, Case(delivery, None), failure_of(err))
        go_on()

    def _prepare(self, delivery: Delivery) -> Callable[[], None]:
        """Look at what is known of the job and give what to do next. OSError comes from the disk only."""
        if self.results.has(delivery.id):
            self.results.announce(delivery.id)
            logger.info("Task %s[%s] has its result already", delivery.task, delivery.id)
            return functools.partial(self._done, delivery)
        case = Case(delivery, self.history.look(delivery))
        if case.known is not None and case.known.failures > delivery.failures:
            logger.info("Task %s[%s] is an old message: its retry is known", delivery.task, delivery.id)
            return functools.partial(self._let_go, delivery)
        logger.info("Task %s[%s] received", delivery.task, delivery.id)
        failure = delivery.problem or self._condemned(case)
        if failure is not None:
            return functools.partial(self._fail, case, failure)
        try:
            tasks = self._app.edge_tasks()
            if delivery.task not in tasks:
                raise UnknownTask(delivery.task, sorted(tasks))
            task = tasks[delivery.task]
            bound = task.edge_signature.bind(delivery.args, delivery.kwargs)
        except UnknownTask as err:
            return functools.partial(self._fail, case, Failure(FailureCode.UNKNOWN_TASK, self._blame(err)))
        except BadArguments as err:
            return functools.partial(self._fail, case, Failure(FailureCode.BAD_ARGUMENTS, clean(str(err))))
        staging = self.results.stage(delivery.id)
        self.history.begin(delivery.id)
        return functools.partial(self._run, Case(delivery, case.known, staging), task, bound)

    def _condemned(self, case: Case) -> Failure | None:
        if case.delivery.queue == DEAD_NAME:
            why = _death(case.delivery.headers)
            return Failure(FailureCode.DEAD_LETTERED, f"the broker gave up on the message: {why}")
        limit = self._config.worker.max_crashes
        if case.known is not None and case.known.crashes >= limit:
            message = f"its worker died {case.known.crashes} times while it ran (worker.max_crashes = {limit})"
            return Failure(FailureCode.CRASH_LOOP, message)
        return suspected(case.known, self._config.worker)

    def _blame(self, err: UnknownTask) -> str:
        """The task may be unknown only because its module is broken."""
        broken = "; ".join(f"module {module}: {error}" for module, error in self._app.module_errors.items())
        return clean(f"{err}; {broken}" if broken else str(err))

    # --- the body -----------------------------------------------------------------------------------------

    def _run(self, case: Case, task: Any, bound: dict[str, Any]) -> None:
        delivery = case.delivery
        job = self._job(case, task)
        if task.edge_signature.wants_job is not None:
            bound = {**bound, task.edge_signature.wants_job: job}
        limit_s = self._limit_s(delivery, task)
        told = self._status.begin(RunningJob(delivery.id, delivery.task, time.time(), case.attempt))
        self._current = case
        klass = _CLASSES.get(delivery.queue, Power.NORMAL)
        if self._scene is None:  # by now all signals are as they are to stay
            self._scene = Scene(self._bell.fileno())
        meter = self._hold.begin(delivery.id, klass, self._said, max_temp_c=delivery.max_temp_c)
        try:
            with request.current(delivery, task, hostname=self._hostname, limit_s=limit_s):
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
                request.ended(delivery, task, outcome)
        finally:
            self._hold.end()
            self._current = None
            self.history.end()
        energy = meter.end(seconds=outcome.seconds, cpu_seconds=outcome.cpu_seconds, held_s=self._control.held_s)
        try:
            self._ended(case, outcome, energy)
        except (OSError, AMQPError):
            raise
        except Exception:  # a fault of ours, or the body changed what we stand on: this worker ends of it
            self.history.begin(delivery.id)  # so it counts as a crash of this job, and not for ever
            raise

    def _job(self, case: Case, task: Any) -> Job:
        layout, job_id = self._config.layout, case.delivery.id
        cuts = case.known.early_cuts if case.known is not None else 0
        assert case.staging is not None
        return Job(
            job_id,
            folder=layout.tasks / task.name,
            files=case.staging.file,
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

    # --- after the body -----------------------------------------------------------------------------------

    def _ended(self, case: Case, outcome: Outcome, energy: Energy) -> None:
        delivery, staging, failure = case.delivery, case.staging, outcome.failure
        assert staging is not None
        if outcome.interrupted:
            logger.info("Task %s[%s] interrupted: %s; it runs again later", delivery.task, delivery.id, outcome.error)
            staging.discard()
            self.history.interrupted(case.known)
            self._control.stop()  # at critical power it was not asked to; whoever lost its job leaves
            return
        if failure is None:
            self.kinds.note(delivery.task, energy)
        if failure is not None and failure.code in _RETRIED and delivery.failures < delivery.retries:
            staging.discard()
            error = f"{failure.type}: {failure.message}" if failure.type else failure.message
            self._retry(case.known, error, delivery)
            return
        limit = self._config.worker.max_artifact_bytes
        try:
            size = staging.size_bytes()
        except OSError as err:
            staging.discard()
            self.inbox.hold(delivery, self._process, err)
            return
        if size > limit:
            message = f"the job's files have {size} bytes, more than worker.max_artifact_bytes = {limit}"
            failure = failure or Failure(FailureCode.TOO_LARGE, message)
            staging.discard()
        result = self._result(
            case,
            failure,
            value=outcome.encoded if failure is None else None,
            started_at=outcome.started_at,
            seconds=round(outcome.seconds, 6),
            cpu_seconds=round(outcome.cpu_seconds, 6),
            energy=energy,
        )
        self._publish(result, staging, delivery)

    def _retry(self, known: Attempts | None, error: str, delivery: Delivery) -> None:
        """Record the failure durably; the gateway publishes the job again when it is due."""
        try:
            self.history.failed(delivery, known, error)
        except OSError as err:
            self.inbox.hold(delivery, functools.partial(self._retry, known, error), err)
            return
        logger.info("Task %s[%s] will be tried again", delivery.task, delivery.id)
        self._let_go(delivery)

    def _fail(self, case: Case, failure: Failure) -> None:
        """End a job whose body is not run."""
        delivery = case.delivery
        logger.error("Task %s[%s] not run: %s (%s)", delivery.task, delivery.id, failure.message, failure.code)
        self._publish(self._result(case, failure), None, delivery)

    def _result(self, case: Case, failure: Failure | None, **fields: Any) -> Result:
        delivery = case.delivery
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
            attempts=case.attempt,
            worker=self._name,
            original_id=delivery.original_id,
            submitter=delivery.submitter,
            **fields,
        )

    def _publish(self, result: Result, staging: Staging | None, delivery: Delivery) -> None:
        """Make the result durable, then let the message go; while the disk refuses, hold."""
        try:
            self.results.publish(result, staging)
        except OSError as err:
            if staging is not None and staging.size_bytes() and not self.results.has(result.id):
                # After a failed fsync the artifacts may be gone and look well: only a new run makes them again. Once
                # the result has its name they were synced, and it is only the name that is not safe yet.
                staging.discard()
                self.inbox.hold(delivery, self._process, err)
            else:
                self.inbox.hold(delivery, functools.partial(self._publish, result, None), err)
            return
        except Exception as err:  # what the body left cannot be told; that must not stop the jobs behind it
            if staging is None:
                raise
            logger.error("Task %s[%s] left what cannot be kept: %s", delivery.task, delivery.id, clean(str(err)))
            staging.discard()
            failure = result.failure or Failure(FailureCode.NOT_SERIALISABLE, clean(str(err)), type(err).__name__)
            state = JobState.FAILED if result.failure is None else result.state
            told = msgspec.structs.replace(result, state=state, value=None, failure=failure)
            self._publish(told, None, delivery)
            return
        self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        """The job has its one result: let the message go, and what was kept for another attempt."""
        self._let_go(delivery)
        try:
            self.history.attempts.forget(delivery.id)
            (self._config.layout.checkpoints / f"{delivery.id}.json").unlink(missing_ok=True)
        except OSError as err:
            logger.warning("cannot tidy up after %s: %s", delivery.id, err)

    def _let_go(self, delivery: Delivery) -> None:
        self.inbox.acknowledge(delivery)
        self._status.rest()


def _storable(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they can stand in a result; what JSON cannot hold is shown, not kept."""
    try:
        msgspec.json.encode((args, kwargs))
    except Exception:
        try:
            return [clean(repr(args))[:1000]], {"kwargs": clean(repr(kwargs))[:1000]}
        except Exception:  # nested beyond what repr can follow
            return [], {}
    return args, kwargs


def _death(headers: dict[str, Any]) -> str:
    """Why a message came to the dead-letter queue, from RabbitMQ's `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
