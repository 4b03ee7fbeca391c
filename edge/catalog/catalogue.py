"""Which kinds of job there are and what they take, read from another process.

Task modules are a person's code with heavy imports. `python -m edge.worker.celery.catalogue` imports them once and
prints what they declare, so that neither the gateway nor the CLI ever runs a line of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from edge.catalog import quick
from edge.catalog.signature import named, short, takes
from edge.core.errors import BadArguments, CatalogueError, UnknownTask
from edge.core.values import JsonObject, JsonValue
from edge.model import Pool, Power

#: Importing every module of a small board's tasks may take a while when its card is cold and RabbitMQ starts beside it.
TIMEOUT_S = 120.0

#: How a value of each JSON type is called in a sentence.
_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


class TaskInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of job."""

    name: str
    summary: str = ""
    description: str = ""
    module: str = ""
    positional: tuple[str, ...] = ()
    schema: JsonObject = {}
    power: Power = Power.NORMAL
    pool: Pool = Pool.MAIN
    retries: int = 0
    time_limit_s: float | None = None


class Listing(msgspec.Struct, frozen=True):
    """What the other process prints."""

    tasks: tuple[TaskInfo, ...]
    errors: dict[str, str]


class Catalogue:
    """The kinds of job by name, and one line for each module that could not be imported."""

    def __init__(self, tasks: Mapping[str, TaskInfo], errors: Mapping[str, str]) -> None:
        self.tasks = dict(tasks)
        self.errors = dict(errors)
        self._validators: dict[str, Validator] = {}
        self._quick: dict[str, Callable[[Mapping[str, object]], bool]] = {}

    def check(self, task: str, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Return if the worker will accept these arguments. Callable from any thread.

        Raises UnknownTask or BadArguments, each with one sentence.
        """
        info = self.tasks.get(task)
        if info is None:
            raise UnknownTask(task, sorted(self.tasks))
        arguments: JsonObject = named(task, info.positional, args, kwargs)
        properties = info.schema.get("properties", {})
        for name in arguments:
            if name not in properties:
                raise BadArguments(task, f"unknown argument {short(name)}; {takes(tuple(properties))}")
        for name in info.schema.get("required", ()):
            if name not in arguments:
                raise BadArguments(task, f"argument {name!r} is missing; {takes(tuple(properties))}")
        if task not in self._quick:
            self._quick[task] = quick.compiled(properties)
        if self._quick[task](arguments):
            return
        try:
            error = next(self._validator(info).iter_errors(arguments), None)
        except RecursionError as err:
            raise BadArguments(task, "the arguments are nested too deeply") from err
        if error is not None:
            raise BadArguments(task, _sentence(error))

    def _validator(self, info: TaskInfo) -> Validator:
        if info.name not in self._validators:
            self._validators[info.name] = _Validator(info.schema)
        return self._validators[info.name]


def load(config_path: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> Catalogue:
    """Import the task modules of the configuration in another process, and read what they declare. Blocks.

    A broken module is an entry in `errors`. Raises CatalogueError when nothing could be read.
    """
    env = dict(os.environ)
    if config_path is not None:
        env["EDGE_CONFIG"] = str(config_path)
    argv = [sys.executable, "-m", "edge.worker.celery.catalogue"]
    # Not pipes: a process that a module started and left running could keep a pipe open for ever.
    with _memory() as out, _memory() as err:
        code = _run(argv, env, out, err, timeout_s)
        out.seek(0)
        err.seek(0)
        *modules, answer = out.read().splitlines() or [b""]
        words = err.read().decode(errors="replace").strip().splitlines()
    if not answer.startswith(b"{"):
        modules, answer = [*modules, answer], b""
    culprit = f"module {modules[-1].decode(errors='replace')}: " if modules and modules[-1] else ""
    if code is None:
        raise CatalogueError(f"{culprit}the task modules were not imported within {timeout_s:g} s")
    if code != 0:
        raise CatalogueError(culprit + (words[-1] if words else f"its import ended the process with {code}"))
    if not answer:
        raise CatalogueError(f"{culprit}its import ended the process")
    try:
        listing = msgspec.json.decode(answer, type=Listing)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise CatalogueError(f"what the task modules declare cannot be read: {fault}") from fault
    return Catalogue({info.name: info for info in listing.tasks}, listing.errors)


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("catalogue"), "w+b")


def _run(argv: list[str], env: dict[str, str], out: IO[bytes], err: IO[bytes], timeout_s: float) -> int | None:
    """The exit code, None when it had to be ended."""
    try:
        return subprocess.run(
            argv, check=False, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout_s
        ).returncode
    except subprocess.TimeoutExpired:
        return None
    except OSError as fault:
        raise CatalogueError(f"cannot start {argv[0]}: {fault}") from fault


def _is_integer(_checker: object, value: object) -> bool:
    """JSON Schema alone takes 1.0 for an integer; the worker does not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    """True for numbers that the worker can convert to a float; larger integers are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
_Validator = extend(Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]


def _sentence(error: ValidationError) -> str:
    """Argument, value and what is allowed."""
    path = list(error.absolute_path)
    name = str(path[0]) if path else "?"
    where = "".join(f"[{part!r}]" for part in path[1:])
    return f"argument {name!r}{where} = {short(error.instance)}: {_allowed(error)}"


def _kinds(names: list[JsonValue]) -> str:
    return " or ".join(_NAMES.get(name, str(name)) for name in names)


def _allowed(error: ValidationError) -> str:
    rule: str = str(error.validator)
    limit: JsonValue = error.validator_value
    if rule == "type":
        return f"must be {_kinds(limit if isinstance(limit, list) else [limit])}"
    if rule in ("anyOf", "oneOf"):
        kinds = [part.get("type") for part in limit if isinstance(part, dict)]
        if all(isinstance(kind, str) for kind in kinds):
            return f"must be {_kinds(kinds)}, within its bounds"
        return "fits none of the kinds allowed"
    plain = {
        "enum": "must be one of {}",
        "minimum": "must be at least {}",
        "maximum": "must be at most {}",
        "exclusiveMinimum": "must be more than {}",
        "exclusiveMaximum": "must be less than {}",
        "multipleOf": "must be a multiple of {}",
        "minLength": "must have at least {} characters",
        "maxLength": "must have at most {} characters",
        "minItems": "must have at least {} items",
        "maxItems": "must have at most {} items",
        "minProperties": "must have at least {} keys",
        "maxProperties": "must have at most {} keys",
        "pattern": "must match {}",
        "required": "must have the keys {}",
    }
    if rule in plain:
        shown = ", ".join(repr(part) for part in limit) if isinstance(limit, list) else limit
        return plain[rule].format(shown)
    return error.message[:200]
