"""The one way of every message: looked up, run if it can be, its result durable, and only then acknowledged."""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from edge.broker.topology import CONNECTION_ERRORS
from edge.config import Config
from edge.core import clock
from edge.core.durable import has_room
from edge.core.errors import NotAllowed, Unreachable
from edge.core.invariant import given
from edge.core.wakeup import Wakeup
from edge.model import (
    Attempts,
    Energy,
    Failure,
    FailureCode,
    JobState,
    PowerState,
    PowerStatus,
    Result,
    WaitReason,
)
from edge.results.staging import Staging
from edge.worker.attempt.admission import Action, Admission, Decision
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.head import stores
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.body import BodyRunner, TaskContext
from edge.worker.executor.execute import Outcome, failure_of
from edge.worker.intake.inbox import Inbox
from edge.worker.power.feasibility import KindAverages, too_hot, too_much
from edge.worker.power.hold import Hold
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

_TOMBSTONES_KEPT = 3  # times `retention.keep_days`: no message comes back that late

_UNSAID = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ROOM_BYTES = 4 << 20
#: Failures of a body that a further attempt may cure.
_RETRIED = (FailureCode.EXCEPTION, FailureCode.TIME_LIMIT, FailureCode.EXIT)


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
        bell: Wakeup,
        later: Callable[[float, Callable[[], None]], object],
        celery: TaskContext,
    ) -> None:
        self.results, attempts = stores(config, name)
        self.history = AttemptHistory(config.layout, name, attempts, early_cut_s=config.worker.early_cut_s)
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
        self.body = BodyRunner(
            config,
            name=name,
            results=self.results,
            history=self.history,
            status=status,
            control=control,
            hold=hold,
            bell=bell,
            celery=celery,
        )
        self.kinds = KindAverages(config.layout.kinds(name))
        self._triage = Admission(app, config, results=self.results, history=self.history)
        self._config = config
        self._name = name
        self._status = status
        self._control = control
        self._tried: set[str] = set()  # jobs whose body the disk ended, and which may not blame it again

    def recover(self) -> None:
        """At the start of the worker: finish what a crash left half done. Raises OSError."""
        keep_s = _TOMBSTONES_KEPT * self._config.retention.keep_days * 86_400
        now = clock.vouched_now()
        self.results.recover(forget_before=None if now is None else now - keep_s)
        self.history.recover()
        with suppress(OSError):  # a head that is away: then at the next start
            self.history.tidy(self.results.has)

    def _objection(self, delivery: Delivery, parked: bool) -> WaitReason | None:
        """Why this job is not begun now although its class may be: too hot for it, or more than is left."""
        said = self._said
        hot = too_hot(delivery.max_temp_c, said, held=parked)
        why = hot or too_much(self.kinds.expected(delivery.task), said, self._config.power)
        try:
            return why if why is not None and not self.results.has(delivery.id) else None
        except OSError:  # a node that cannot ask its head
            return why

    @property
    def _said(self) -> PowerStatus:
        return self.inbox.door.said if self.inbox.door is not None else _UNSAID

    def _process(self, delivery: Delivery) -> None:
        try:
            finding = self._triage.look(delivery)
        except OSError as err:
            self.inbox.hold(delivery, self._process, err)
            return
        except Exception as err:  # a fault of ours must not stop the jobs behind it
            logger.exception("Task %s[%s] cannot be handled", delivery.task, delivery.id)
            finding = Decision(Action.FAILED, Attempt(delivery, None), failure_of(err))
        match finding.what:
            case Action.OVER:
                self._done(delivery)
            case Action.OLD:
                self._let_go(delivery)
            case Action.FAILED:
                self._fail(finding.case, given(finding.failure, "why the job failed"))
            case Action.READY:
                self._run(finding)

    def _run(self, finding: Decision) -> None:
        outcome, energy = self.body.run(finding.case, finding.task, finding.bound or {}, self._said)
        try:
            self._ended(finding.case, outcome, energy)
        except CONNECTION_ERRORS:
            raise
        except Exception:  # a fault of ours, or the body changed what we stand on: this worker ends of it
            self.history.begin(finding.case.delivery.id)  # so it counts as a crash of this job, and not for ever
            raise

    def _ended(self, case: Attempt, outcome: Outcome, energy: Energy) -> None:
        delivery, staging, failure = case.delivery, given(case.staging, "the staging of a body"), outcome.failure
        if outcome.interrupted:
            logger.info("Task %s[%s] interrupted: %s; it runs again later", delivery.task, delivery.id, outcome.error)
            staging.discard()
            self.history.interrupted(case.known)
            self._control.stop()  # at critical power it was not asked to; whoever lost its job leaves
            return
        if isinstance(outcome.error, OSError) and self._refused(delivery, staging, outcome.error):
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
        result = case.result(
            failure,
            worker=self._name,
            value=outcome.encoded if failure is None else None,
            started_at=outcome.started_at,
            seconds=round(outcome.seconds, 6),
            cpu_seconds=round(outcome.cpu_seconds, 6),
            energy=energy,
        )
        self._publish(result, staging, delivery)

    def _refused(self, delivery: Delivery, staging: Staging, err: OSError) -> bool:
        """True when the disk, not the job, ended the body: it is held, and runs again when there is room.

        Where there is room once the job's own files are gone, it may have filled the disk itself: it gets one more try.
        """
        if err.errno not in _FULL:  # anything else may come from what the job reads and writes elsewhere
            return False
        room = has_room(self._config.root, _ROOM_BYTES)
        if room and delivery.id in self._tried:
            return False
        staging.discard()
        self._tried.add(delivery.id)
        self.inbox.hold(delivery, self._again, err)
        return True

    def _again(self, delivery: Delivery) -> None:
        if has_room(self._config.root, _ROOM_BYTES):
            self.inbox.put_back(delivery)
        else:
            self.inbox.hold(delivery, self._again, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _retry(self, known: Attempts | None, error: str, delivery: Delivery) -> None:
        """Record the failure durably; the gateway publishes the job again when it is due."""
        try:
            self.history.failed(delivery, known, error)
        except OSError as err:
            self.inbox.hold(delivery, functools.partial(self._retry, known, error), err)
            return
        logger.info("Task %s[%s] will be tried again", delivery.task, delivery.id)
        self._let_go(delivery)

    def _fail(self, case: Attempt, failure: Failure) -> None:
        """End a job whose body is not run."""
        delivery = case.delivery
        logger.error("Task %s[%s] not run: %s (%s)", delivery.task, delivery.id, failure.message, failure.code)
        self._publish(case.result(failure, worker=self._name), None, delivery)

    def _publish(self, result: Result, staging: Staging | None, delivery: Delivery) -> None:
        """Make the result durable, then let the message go; while the disk refuses, hold."""
        try:
            self.results.publish(result, staging)
        except (Unreachable, NotAllowed) as err:  # a node's head is away: what the body made is well, and sent again
            self.inbox.hold(delivery, functools.partial(self._publish, result, staging), err)
            return
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
        self._tried.discard(delivery.id)
        try:
            self.history.attempts.forget(delivery.id)
            (self._config.layout.checkpoints / f"{delivery.id}.json").unlink(missing_ok=True)
        except OSError as err:
            logger.warning("cannot tidy up after %s: %s", delivery.id, err)

    def _let_go(self, delivery: Delivery) -> None:
        self.inbox.acknowledge(delivery)
        self._status.rest()
