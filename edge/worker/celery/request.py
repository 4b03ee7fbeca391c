"""Provides what users of Celery expect of a body: `current_task.request`, Celery's signals, and its log lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billiard.einfo import ExceptionInfo
from celery import signals
from celery._state import _task_stack
from celery.app.task import Context
from celery.utils.log import get_logger

from edge.catalog.signature import short
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.delivery import Delivery
from edge.worker.executor.execute import Outcome

logger = get_logger(__name__)


class _Request(Context):  # type: ignore[misc]
    """Celery's `task.request`, without a search for custom headers among the fields above, which are all Celery's.

    Celery makes a set of sixty names for that search. It costs more than the rest of the request.
    """

    def _get_custom_headers(self, *_: object, **__: object) -> None:
        return None


@contextmanager
def current(delivery: Delivery, task: TaskKind, *, hostname: str, limit_s: float | None) -> Iterator[None]:
    """Make `task` Celery's current task inside the block, and send `task_prerun`. Called in the thread of the body."""
    _task_stack.push(task)
    request = _Request(
        id=delivery.id,
        args=delivery.args,
        kwargs=delivery.kwargs,
        retries=delivery.failures,
        root_id=delivery.id,
        correlation_id=delivery.id,
        delivery_info=delivery.message.delivery_info,
        hostname=hostname,
        called_directly=False,
        is_eager=False,
        timelimit=(limit_s, None),
    )
    task.request_stack.push(request)
    try:
        signals.task_prerun.send(
            sender=task, task_id=delivery.id, task=task, args=delivery.args, kwargs=delivery.kwargs
        )
        yield
    finally:
        task.pop_request()
        _task_stack.pop()


def ended(delivery: Delivery, task: TaskKind, outcome: Outcome) -> None:
    """Log how the body ended and send Celery's signals. Call it inside `current`."""
    error, failure = outcome.error, outcome.failure
    name, job_id = delivery.task, delivery.id
    state = "RETRY"  # the body was interrupted and runs again
    if failure is not None:
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
    elif error is None:
        logger.info("Task %s[%s] succeeded in %.6fs: %s", name, job_id, outcome.seconds, short(outcome.value))
        signals.task_success.send(sender=task, result=outcome.value)
        state = "SUCCESS"
    signals.task_postrun.send(
        sender=task,
        task_id=job_id,
        task=task,
        args=delivery.args,
        kwargs=delivery.kwargs,
        retval=outcome.value if error is None else error,
        state=state,
    )


def _einfo(error: BaseException | None) -> ExceptionInfo | None:
    """Return billiard's record of an exception, or None if the signal has no receivers: the record is costly."""
    if error is None or not signals.task_failure.receivers:
        return None
    return ExceptionInfo((type(error), error, error.__traceback__))
