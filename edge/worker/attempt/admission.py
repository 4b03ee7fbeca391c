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
from edge.worker.attempt.deferred import with_kinds
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.history import STARVED
from edge.worker.power.feasibility import KindAverage, too_hot, too_much


@dataclass(frozen=True)
class JobEnded:
    """The job has its result already."""


@dataclass(frozen=True)
class Old:
    """The message is a copy of an attempt whose failure is recorded already. The retry comes as another message."""


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
class Defer:
    """The worker hands `jobs` over to the gateway, which keeps them in the ledger until they are due."""

    jobs: tuple[SpawnedJob, ...]


Decision = JobEnded | Old | Park | Refuse | Run | Defer


@dataclass(frozen=True)
class Kinds:
    """The kinds of job that this worker knows, and the import errors of task modules by module name."""

    tasks: Mapping[str, TaskKind]
    broken: Mapping[str, str]
    limited: Collection[str] = ()  # kinds with an entry in `limits`, which only the gateway can enforce


def first_look(
    delivery: Delivery,
    *,
    job_ended: bool,
    parked: bool,
    power: PowerStatus,
    expected: KindAverage | None,
    config: PowerConfig,
) -> JobEnded | Park | None:
    """Decide as far as possible without the record of earlier attempts.

    Args:
        delivery: the message.
        job_ended: whether the job has its result already.
        parked: whether the attempt is parked now; then the board must be clearly cooler before it begins.
        power: the governor's report.
        expected: the mean time and energy of jobs of this kind, or None if they are not known.
        config: the section `power` of the configuration.

    Returns:
        The decision, or None if the record of earlier attempts must be read first; see `admit`.
    """
    if job_ended:
        return JobEnded()
    why = too_hot(delivery.max_temp_c, power, held=parked)
    if why is None:
        why = too_much(expected, power, config, power=class_of(delivery.queue))
    return Park(why) if why is not None else None


def admit(
    delivery: Delivery, earlier: Attempts | None, kinds: Kinds, config: WorkerConfig
) -> Old | Refuse | Run | Defer:
    """Decide on a delivery for which `first_look` returned None; `earlier` is the record of the earlier attempts."""
    if earlier is not None and earlier.failures > delivery.failures:
        return Old()
    failure = delivery.problem or _repeated_failure(delivery, earlier, config)
    if failure is not None:
        return Refuse(failure)
    if delivery.task in kinds.limited and not isinstance(delivery.headers.get("edge"), dict):
        jobs = delivery.deferred or (own_job(delivery),)  # plain Celery published it to the broker, past the gateway
        return Defer(with_kinds(jobs, kinds.tasks, power=class_of(delivery.queue)))
    if delivery.deferred:
        return Defer(with_kinds(delivery.deferred, kinds.tasks, power=class_of(delivery.queue)))
    task = kinds.tasks.get(delivery.task)
    if task is None:
        return Refuse(Failure(FailureCode.UNKNOWN_TASK, _unknown_task(delivery.task, kinds)))
    try:
        return Run(task, task.edge_signature.bind(delivery.args, delivery.kwargs))
    except BadArguments as err:
        return Refuse(Failure(FailureCode.BAD_ARGUMENTS, clean(str(err))))


def own_job(delivery: Delivery) -> SpawnedJob:
    """Return the job of a message, in the form in which the gateway adds it to the ledger."""
    return SpawnedJob(delivery.task, delivery.args, delivery.kwargs, own_id=delivery.id)


def _repeated_failure(delivery: Delivery, earlier: Attempts | None, config: WorkerConfig) -> Failure | None:
    if delivery.queue == DEAD_NAME:
        why = _dead_letter_reason(delivery.headers)
        return Failure(FailureCode.DEAD_LETTERED, f"the broker moved the message to the dead-letter queue: {why}")
    limit = config.max_crashes
    if earlier is not None and earlier.crashes >= limit:
        starved = earlier.ended.count(STARVED)
        why = f", {starved} of them for want of memory" if starved else ""
        message = f"its worker died {earlier.crashes} times while it ran{why} (worker.max_crashes = {limit})"
        return Failure(FailureCode.CRASH_LOOP, message)
    return suspected(earlier, config)


def _unknown_task(task: str, kinds: Kinds) -> str:
    """Return a message with the known tasks and the modules that failed to import: the task may be in one of these."""
    err = UnknownTask(task, sorted(kinds.tasks))
    broken = "; ".join(f"module {module}: {error}" for module, error in kinds.broken.items())
    return clean(f"{err}; {broken}" if broken else str(err))


def _dead_letter_reason(headers: JsonObject) -> str:
    """Return why a message came to the dead-letter queue, from RabbitMQ's header `x-death`."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return f"{deaths[0].get('reason', 'no reason given')} in {deaths[0].get('queue', 'an unknown queue')}"
    return "it stood in the dead-letter queue"
