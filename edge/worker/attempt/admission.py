"""Admission: what is to become of a delivery. Pure: what is known goes in, a decision with its reason comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.broker.topology import DEAD_NAME
from edge.config import WorkerConfig
from edge.config.power import PowerConfig
from edge.core.errors import BadArguments, UnknownTask
from edge.core.values import JsonObject
from edge.model import Attempts, Failure, FailureCode, PowerStatus, WaitReason
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.brownout import suspected
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.history import STARVED
from edge.worker.power.feasibility import KindAverage, too_hot, too_much


@dataclass(frozen=True)
class JobEnded:
    """The job has its result already."""


@dataclass(frozen=True)
class Old:
    """A copy of an attempt whose failure is on record: its retry is another message."""


@dataclass(frozen=True)
class Park:
    """The body may not begin yet, although its class may."""

    reason: WaitReason


@dataclass(frozen=True)
class Refuse:
    """The job ends with `failure`; no body runs."""

    failure: Failure


@dataclass(frozen=True)
class Run:
    """The body of `task` runs with the arguments `bound`."""

    task: TaskKind
    bound: JsonObject


Decision = JobEnded | Old | Park | Refuse | Run


@dataclass(frozen=True)
class Kinds:
    """The kinds of job that this worker knows, and why modules that were asked for are not among them."""

    tasks: Mapping[str, TaskKind]
    broken: Mapping[str, str]


def first_look(
    delivery: Delivery,
    *,
    job_ended: bool,
    parked: bool,
    power: PowerStatus,
    expected: KindAverage | None,
    config: PowerConfig,
) -> JobEnded | Park | None:
    """What can be decided without earlier attempts; None when they have to be looked at.

    `parked` tells that it was parked before: heat then has to fall further. `expected` is what jobs of its kind take.
    """
    if job_ended:
        return JobEnded()
    why = too_hot(delivery.max_temp_c, power, held=parked) or too_much(expected, power, config)
    return Park(why) if why is not None else None


def admit(delivery: Delivery, earlier: Attempts | None, kinds: Kinds, config: WorkerConfig) -> Old | Refuse | Run:
    """What is to become of a delivery that may begin; `earlier` is the record of the earlier attempts."""
    if earlier is not None and earlier.failures > delivery.failures:
        return Old()
    failure = delivery.problem or _condemned(delivery, earlier, config)
    if failure is not None:
        return Refuse(failure)
    task = kinds.tasks.get(delivery.task)
    if task is None:
        return Refuse(Failure(FailureCode.UNKNOWN_TASK, _unknown(delivery.task, kinds)))
    try:
        return Run(task, task.edge_signature.bind(delivery.args, delivery.kwargs))
    except BadArguments as err:
        return Refuse(Failure(FailureCode.BAD_ARGUMENTS, clean(str(err))))


def _condemned(delivery: Delivery, earlier: Attempts | None, config: WorkerConfig) -> Failure | None:
    if delivery.queue == DEAD_NAME:
        why = _death(delivery.headers)
        return Failure(FailureCode.DEAD_LETTERED, f"the broker gave up on the message: {why}")
    limit = config.max_crashes
    if earlier is not None and earlier.crashes >= limit:
        starved = earlier.ended.count(STARVED)
        why = f", {starved} of them for want of memory" if starved else ""
        message = f"its worker died {earlier.crashes} times while it ran{why} (worker.max_crashes = {limit})"
        return Failure(FailureCode.CRASH_LOOP, message)
    return suspected(earlier, config)


def _unknown(task: str, kinds: Kinds) -> str:
    """The task may be unknown only because its module is broken."""
    err = UnknownTask(task, sorted(kinds.tasks))
    broken = "; ".join(f"module {module}: {error}" for module, error in kinds.broken.items())
    return clean(f"{err}; {broken}" if broken else str(err))


def _death(headers: JsonObject) -> str:
    """Why a message came to the dead-letter queue, from RabbitMQ's `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
