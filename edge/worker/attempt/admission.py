"""Admission: decides whether the body of a delivery runs. Pure functions: no disk, no broker, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edge.broker.topology import DEAD_NAME, class_of
from edge.config import WorkerConfig
from edge.config.power import PowerConfig
from edge.core.errors import BadArguments, UnknownTask
from edge.core.values import JsonObject
from edge.model import Attempts, Failure, FailureCode, PowerStatus, SpawnedJob, WaitReason
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.brownout import suspected
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.handed import with_kinds
from edge.worker.attempt.history import STARVED
from edge.worker.power.feasibility import KindAverage, too_hot, too_much


@dataclass(frozen=True)
class JobEnded:
    """The job has its result already."""


@dataclass(frozen=True)
class Old:
    """The message is a copy of an attempt whose failure is recorded already. The retry has a message of its own."""


@dataclass(frozen=True)
class Park:
    """The body may not begin yet, although its class may.

    `again_s` is the time in seconds until the worker looks again. With 0 it looks when power has changed.
    """

    reason: WaitReason
    again_s: float = 0.0


@dataclass(frozen=True)
class Refuse:
    """The job ends with `failure`; no body runs."""

    failure: Failure


@dataclass(frozen=True)
class Run:
    """The body of `task` runs with the arguments `bound`."""

    task: TaskKind
    bound: JsonObject


@dataclass(frozen=True)
class Hand:
    """The gateway is to keep `jobs` in the ledger: the message is not for now."""

    jobs: tuple[SpawnedJob, ...]


Decision = JobEnded | Old | Park | Refuse | Run | Hand


@dataclass(frozen=True)
class Kinds:
    """The kinds of job that this worker knows, and the import errors of task modules by module name."""

    tasks: Mapping[str, TaskKind]
    broken: Mapping[str, str]
    limited: Collection[str] = ()  # kinds with a limit, which the gateway alone can keep


def first_look(
    delivery: Delivery,
    *,
    job_ended: bool,
    parked: bool,
    power: PowerStatus,
    expected: KindAverage | None,
    config: PowerConfig,
) -> JobEnded | Park | None:
    """Decide what needs no record of earlier attempts; None when that record has to be read.

    Args:
        delivery: the message.
        job_ended: whether the job has its result already.
        parked: whether the attempt is parked now; then the board must be clearly cooler before it begins.
        power: the governor's report.
        expected: what jobs of this kind take on average; None when not known.
        config: the section `power` of the configuration.
    """
    if job_ended:
        return JobEnded()
    why = too_hot(delivery.max_temp_c, power, held=parked) or too_much(expected, power, config)
    return Park(why) if why is not None else None


def admit(
    delivery: Delivery, earlier: Attempts | None, kinds: Kinds, config: WorkerConfig
) -> Old | Refuse | Run | Hand:
    """Decide on a delivery that `first_look` let through; `earlier` is the record of the earlier attempts."""
    if earlier is not None and earlier.failures > delivery.failures:
        return Old()
    failure = delivery.problem or _repeated_failure(delivery, earlier, config)
    if failure is not None:
        return Refuse(failure)
    if delivery.task in kinds.limited and not isinstance(delivery.headers.get("edge"), dict):
        jobs = delivery.handed or (own_job(delivery),)  # plain Celery published it past the gateway
        return Hand(with_kinds(jobs, kinds.tasks, power=class_of(delivery.queue)))
    if delivery.handed:
        return Hand(with_kinds(delivery.handed, kinds.tasks, power=class_of(delivery.queue)))
    task = kinds.tasks.get(delivery.task)
    if task is None:
        return Refuse(Failure(FailureCode.UNKNOWN_TASK, _unknown_task(delivery.task, kinds)))
    try:
        return Run(task, task.edge_signature.bind(delivery.args, delivery.kwargs))
    except BadArguments as err:
        return Refuse(Failure(FailureCode.BAD_ARGUMENTS, clean(str(err))))


def own_job(delivery: Delivery) -> SpawnedJob:
    """The job of a message, for the ledger."""
    return SpawnedJob(delivery.task, delivery.args, delivery.kwargs, own_id=delivery.id)


def _repeated_failure(delivery: Delivery, earlier: Attempts | None, config: WorkerConfig) -> Failure | None:
    if delivery.queue == DEAD_NAME:
        why = _dead_letter_reason(delivery.headers)
        return Failure(FailureCode.DEAD_LETTERED, f"the broker gave up on the message: {why}")
    limit = config.max_crashes
    if earlier is not None and earlier.crashes >= limit:
        starved = earlier.ended.count(STARVED)
        why = f", {starved} of them for want of memory" if starved else ""
        message = f"its worker died {earlier.crashes} times while it ran{why} (worker.max_crashes = {limit})"
        return Failure(FailureCode.CRASH_LOOP, message)
    return suspected(earlier, config)


def _unknown_task(task: str, kinds: Kinds) -> str:
    """Name the known tasks and the broken modules: the task may be in one of these."""
    err = UnknownTask(task, sorted(kinds.tasks))
    broken = "; ".join(f"module {module}: {error}" for module, error in kinds.broken.items())
    return clean(f"{err}; {broken}" if broken else str(err))


def _dead_letter_reason(headers: JsonObject) -> str:
    """Return why a message came to the dead-letter queue, from RabbitMQ's header `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
