"""Reads a message from the broker, without trusting its content."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec

from edge.broker.border import Message
from edge.core.duplicates import duplicate
from edge.core.errors import UsageError
from edge.core.values import JsonObject, JsonValue
from edge.model import Failure, FailureCode, InputFile, SpawnedJob, file_safe_id
from edge.worker.attempt.deferred import deferred_jobs

_UNSUPPORTED = ("callbacks", "errbacks", "chord")


class Delivery(msgspec.Struct, frozen=True):
    """The job that a message asks for. `problem` is set if it cannot run; `id` and `task` are usable in any case."""

    message: Message
    queue: str
    id: str
    task: str
    original_id: str = ""
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    redeliveries: int = 0  # how often the broker delivered this message before
    #: True for the first message of its queue on this connection. Of several messages that were in hand before the
    #: connection was lost, this is the one that began first.
    first_in_queue: bool = True
    failures: int = 0  # how often the job failed and was published again
    retries: int = 0
    time_limit_s: float | None = None
    max_temp_c: float | None = None
    submitter: str = ""  # empty if the message did not come through the gateway
    files: dict[str, InputFile] = {}  # the input files by name
    problem: Failure | None = None
    #: Jobs that the gateway must keep, because the message has an eta or begins a chain. The message's own job is the
    #: first. Empty for almost every message.
    deferred: tuple[SpawnedJob, ...] = ()
    headers: JsonObject = {}


def read(message: Message, queue: str, error: BaseException | None = None, *, first_in_queue: bool = True) -> Delivery:
    """Return the delivery in `message`. Never raises.

    Args:
        message: as kombu delivered it.
        queue: the queue it came from.
        error: the error of kombu, if it could not unpack the message.
        first_in_queue: see `Delivery.first_in_queue`.
    """
    headers = message.headers if isinstance(message.headers, dict) else {}
    properties = message.properties if isinstance(message.properties, dict) else {}
    body: object = None
    problem: Failure | None = None
    try:
        if error is not None:
            raise error
        body = message.decode()
    except Exception as err:
        problem = Failure(FailureCode.UNDECODABLE, f"the message cannot be decoded: {clean(str(err) or repr(err))}")
    if problem is None and (name := _duplicate_key(message)) is not None:
        problem = Failure(
            FailureCode.UNDECODABLE,
            clean(f"the message has {name[:80]!r} twice in one object: one value would be lost"),
        )
    first = body if isinstance(body, dict) else {}  # Celery's protocol 1 has everything in the body
    wire_id = next(
        (x for x in (headers.get("id"), first.get("id"), properties.get("correlation_id")) if isinstance(x, str) and x),
        None,
    )
    job_id = file_safe_id(clean(wire_id)) if wire_id is not None else _content_id(message, headers)
    task = next((clean(x) for x in (headers.get("task"), first.get("task")) if isinstance(x, str)), "")
    args: JsonValue = []
    kwargs: JsonValue = {}
    embed: JsonValue = {}
    if problem is None:
        if "task" in headers and isinstance(body, list | tuple) and len(body) == 3:
            args, kwargs, embed = body
        elif isinstance(first.get("task"), str):
            args, kwargs, embed = first.get("args", []), first.get("kwargs", {}), first
        else:
            problem = Failure(FailureCode.UNDECODABLE, "not a Celery message: neither protocol 2 nor 1")
    args, kwargs, embed = _normalised(args, list), _normalised(kwargs, dict), _normalised(embed, dict)
    if problem is None and (not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed, dict)):
        problem = Failure(FailureCode.UNDECODABLE, "the message's arguments are not a list and an object")
    if problem is not None:
        args, kwargs, embed = [], {}, {}
    later: tuple[SpawnedJob, ...] = ()
    if problem is None:
        problem = _unsupported(embed, expires=headers.get("expires") or first.get("expires"))
    if problem is None:
        try:
            later = deferred_jobs(headers, first, embed, job_id=job_id, task=task, args=args, kwargs=kwargs)
        except UsageError as err:
            problem = Failure(FailureCode.BAD_ARGUMENTS, clean(str(err)))
    edge = headers.get("edge")
    edge = edge if isinstance(edge, dict) else {}
    files: dict[str, InputFile] = {}
    try:
        files = msgspec.convert(edge.get("files") or {}, dict[str, InputFile])
    except msgspec.ValidationError as err:
        problem = problem or Failure(FailureCode.UNDECODABLE, clean(f"the message's files cannot be read: {err}"))
    return Delivery(
        message=message,
        queue=queue,
        id=job_id,
        original_id=clean(wire_id)[:4096] if wire_id is not None and wire_id != job_id else "",
        task=task,
        args=args,
        kwargs=kwargs,
        redeliveries=_redeliveries(message, headers),
        first_in_queue=first_in_queue,
        failures=_count(edge.get("failures")),
        retries=_count(edge.get("retries")),
        time_limit_s=_positive(edge.get("time_limit_s")) or _positive(_first(headers.get("timelimit"))),
        max_temp_c=_positive(edge.get("max_temp_c")),
        submitter=clean(name)[:64] if isinstance(name := edge.get("submitter"), str) else "",
        files=files,
        problem=problem,
        deferred=later,
        headers=headers,
    )


def clean(text: str) -> str:
    """Return `text` with lone surrogates escaped, because neither JSON nor a file can hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _duplicate_key(message: Message) -> str | None:
    """Return a key that one object of the JSON body has twice, or None. Celery writes `{1: 2, "1": 3}` in this way."""
    body = message.body
    if not isinstance(body, bytes | str):
        return None
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    try:
        return duplicate(content)
    except (ValueError, RecursionError):  # compressed or in another encoding, so this is not the decoded JSON
        return None


def _content_id(message: Message, headers: JsonObject) -> str:
    """Return an id for a message without one. It is a hash of the content, so each redelivery gets the same id."""
    stable = {key: value for key, value in headers.items() if not key.startswith("x-")}
    body = message.body
    if isinstance(body, str):
        body = body.encode("utf-8", "backslashreplace")
    digest = sha256(bytes(body or b""))
    digest.update(json.dumps(stable, sort_keys=True, default=str).encode("utf-8", "backslashreplace"))
    return f"x-{digest.hexdigest()[:32]}"


def _unsupported(embed: JsonObject, *, expires: JsonValue) -> Failure | None:
    """Return a failure if the message needs a feature of Celery that this worker does not have, else None."""
    if expires:
        return Failure(
            FailureCode.BAD_ARGUMENTS,
            f"the message has expires = {str(expires)[:80]!r}: the board's clock may jump; cancel the job instead",
        )
    for name in _UNSUPPORTED:
        if embed.get(name):
            return Failure(
                FailureCode.BAD_ARGUMENTS, f"the message has {name!r}: this worker runs no callbacks and no chord"
            )
    return None


def _redeliveries(message: Message, headers: JsonObject) -> int:
    count = headers.get("x-delivery-count")
    if isinstance(count, int) and count > 0:
        return count
    info = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    return 1 if info.get("redelivered") else 0


def _normalised(value: object, kind: type) -> JsonValue:
    """Return an empty `kind` for None, a list for a tuple, and any other value as it is."""
    if value is None:
        return kind()
    return list(value) if kind is list and isinstance(value, tuple) else value


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _first(value: object) -> object:
    return value[0] if isinstance(value, list | tuple) and value else None
