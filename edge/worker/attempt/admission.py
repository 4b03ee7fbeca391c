"""Looks at a delivery before anything runs: is its job over, an old copy, beyond help, or to be run now?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge.broker.topology import DEAD_NAME
from edge.config import Config
from edge.core.errors import BadArguments, UnknownTask
from edge.model import Failure, FailureCode
from edge.results.store import Results
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.brownout import suspected
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.history import STARVED, AttemptHistory

logger = logging.getLogger(__name__)


class Action(Enum):
    """What is to become of a delivery."""

    OVER = "over"  # the job has its result already
    OLD = "old"  # a copy of an attempt whose failure is on record: its retry is another message
    FAILED = "failed"  # ends with `failure`; no body is run
    READY = "ready"  # `task` is to be run with `bound`; its start is marked


@dataclass(frozen=True)
class Decision:
    """The outcome of a look."""

    what: Action
    case: Attempt
    failure: Failure | None = None
    task: Any = None
    bound: dict[str, Any] | None = None


class Admission:
    """Looks, and records what an earlier attempt left. OSError comes from the disk only."""

    def __init__(self, app: Any, config: Config, *, results: Results, history: AttemptHistory) -> None:
        self._app, self._limits = app, config.worker
        self._results, self._history = results, history

    def look(self, delivery: Delivery) -> Decision:
        """What is to become of `delivery`. Raises OSError."""
        if self._results.has(delivery.id):
            self._results.announce(delivery.id)
            logger.info("Task %s[%s] has its result already", delivery.task, delivery.id)
            return Decision(Action.OVER, Attempt(delivery, None))
        case = Attempt(delivery, self._history.look(delivery))
        if case.known is not None and case.known.failures > delivery.failures:
            logger.info("Task %s[%s] is an old message: its retry is known", delivery.task, delivery.id)
            return Decision(Action.OLD, case)
        logger.info("Task %s[%s] received", delivery.task, delivery.id)
        failure = delivery.problem or self._condemned(case)
        if failure is not None:
            return Decision(Action.FAILED, case, failure)
        try:
            tasks = self._app.edge_tasks()
            if delivery.task not in tasks:
                raise UnknownTask(delivery.task, sorted(tasks))
            task = tasks[delivery.task]
            bound = task.edge_signature.bind(delivery.args, delivery.kwargs)
        except UnknownTask as err:
            return Decision(Action.FAILED, case, Failure(FailureCode.UNKNOWN_TASK, self._blame(err)))
        except BadArguments as err:
            return Decision(Action.FAILED, case, Failure(FailureCode.BAD_ARGUMENTS, clean(str(err))))
        staging = self._results.stage(delivery.id)
        self._history.begin(delivery.id)
        return Decision(Action.READY, Attempt(delivery, case.known, staging), task=task, bound=bound)

    def _condemned(self, case: Attempt) -> Failure | None:
        if case.delivery.queue == DEAD_NAME:
            why = _death(case.delivery.headers)
            return Failure(FailureCode.DEAD_LETTERED, f"the broker gave up on the message: {why}")
        limit = self._limits.max_crashes
        if case.known is not None and case.known.crashes >= limit:
            starved = case.known.ended.count(STARVED)
            why = f", {starved} of them for want of memory" if starved else ""
            message = f"its worker died {case.known.crashes} times while it ran{why} (worker.max_crashes = {limit})"
            return Failure(FailureCode.CRASH_LOOP, message)
        return suspected(case.known, self._limits)

    def _blame(self, err: UnknownTask) -> str:
        """The task may be unknown only because its module is broken."""
        broken = "; ".join(f"module {module}: {error}" for module, error in self._app.module_errors.items())
        return clean(f"{err}; {broken}" if broken else str(err))


def _death(headers: dict[str, Any]) -> str:
    """Why a message came to the dead-letter queue, from RabbitMQ's `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
