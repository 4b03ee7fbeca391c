"""Reads messages of plain Celery that the gateway must keep: with an eta or a countdown, or the first one of a chain.

Jobs that wait for a time or for another job wait in the ledger, never in the broker. So the worker hands the jobs of
such a message over to the gateway, and acknowledges the message. A feature of Celery that this product does not have is
refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge.core import rfc3339
from edge.core.errors import UsageError
from edge.core.values import JsonObject, JsonValue
from edge.model import MOST_PARENTS, Power, SpawnedJob, is_job_id
from edge.worker.api.kind import TaskKind

#: Largest number of steps of one chain.
_MOST_STEPS = MOST_PARENTS
_CANVAS = {
    "group": "a group inside a chain has no end to wait for here; publish its jobs one by one",
    "chord": "a chord is not run here; submit its body with `after` over HTTP",
    "chain": "a chain inside a chain; make one chain of both",
    "map": "this worker runs no map",
    "starmap": "this worker runs no starmap",
    "chunks": "this worker runs no chunks",
}
#: Options of a later step that would change its behaviour and that this worker does not support.
_REFUSED = {
    "countdown": "not possible for a later step of a chain; set a countdown for the first step, or an eta for this one",
    "expires": "the board's clock may jump",
    "link": "this worker runs no callbacks",
    "link_error": "this worker runs no callbacks",
    "chord": "a chord is not run here",
}


def deferred_jobs(
    headers: JsonObject,
    first: JsonObject,
    embed: JsonObject,
    *,
    job_id: str,
    task: str,
    args: JsonValue,
    kwargs: JsonValue,
) -> tuple[SpawnedJob, ...]:
    """Return the jobs of a message that the gateway must keep, or an empty tuple if the message can run now.

    Args:
        headers: the headers of the message.
        first: the body of the message as an object, if it has Celery's protocol 1.
        embed: the third part of a body of protocol 2: callbacks, chain and chord.
        job_id: the id of the message's own job.
        task: the kind of that job.
        args: its positional arguments.
        kwargs: its named arguments.

    Raises:
        UsageError: the message has an eta or a chain that cannot be kept.
    """
    eta, chain = headers.get("eta") or first.get("eta"), embed.get("chain")
    if not eta and not chain:
        return ()
    jobs = [SpawnedJob(task, args, kwargs, own_id=job_id, not_before=_eta(eta))]
    steps = chain or []
    if not isinstance(steps, list):
        raise UsageError("the message has a chain that is not a list")
    if len(steps) > _MOST_STEPS:
        raise UsageError(f"the message has a chain of {len(steps)} steps; at most {_MOST_STEPS} are taken")
    for step in reversed(steps):  # Celery lists the next step last
        jobs.append(_step(step, after=jobs[-1].own_id))
    return tuple(jobs)


def with_kinds(jobs: tuple[SpawnedJob, ...], kinds: Mapping[str, TaskKind], *, power: Power) -> tuple[SpawnedJob, ...]:
    """Return the jobs with the settings of their kinds. The first job keeps `power`, the power class of its queue."""
    found = list[SpawnedJob]()
    for number, deferred_job in enumerate(jobs):
        kind = kinds.get(deferred_job.task)
        own = Power.NORMAL if kind is None else kind.edge_power
        job = msgspec.structs.replace(deferred_job, power=power if number == 0 else own)
        if kind is not None:
            job = msgspec.structs.replace(job, retries=kind.edge_retries, time_limit_s=kind.edge_time_limit_s)
        found.append(job)
    return tuple(found)


def _step(step: JsonValue, *, after: str) -> SpawnedJob:
    """Return the job of a later step of a chain. It gets the result of the step before, unless it is immutable."""
    if not isinstance(step, dict) or not isinstance(task := step.get("task"), str):
        raise UsageError("the message has a chain with a step that names no task")
    kind = step.get("subtask_type") or (task.removeprefix("celery.") if task.startswith("celery.") else "")
    if kind:
        raise UsageError(f"the message has a chain with {task[:80]!r}: {_CANVAS.get(str(kind), 'not run here')}")
    options = step.get("options") or {}
    for name, why in _REFUSED.items():
        if isinstance(options, dict) and options.get(name):
            raise UsageError(f"the message has {name} = {str(options[name])[:80]!r}: {why}")
    job_id = options.get("task_id") if isinstance(options, dict) else None
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise UsageError(f"the message has a chain whose step {task[:80]!r} has no usable id")
    args, kwargs = step.get("args") or [], step.get("kwargs") or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise UsageError(f"the message has a chain whose step {task[:80]!r} has no usable arguments")
    if not step.get("immutable"):
        args = [{"$result": after}, *args]
    return SpawnedJob(task, args, kwargs, own_id=job_id, after=(after,), not_before=_eta(options.get("eta")))


def _eta(value: JsonValue) -> str | None:
    if not value:
        return None
    text = str(value)
    if len(text) > 6 and text[-6] not in "+-" and text[-1] not in "Zz":
        text += "Z"  # a time of Celery without a zone is in UTC
    try:
        rfc3339.parsed(text, name="eta")
    except UsageError as err:
        raise UsageError(f"the message has an eta that is not a time: {err}") from err
    return text
