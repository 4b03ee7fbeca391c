"""Reads the arguments of a task from the type hints of its function: a schema for submitters, a check for workers.

A hint may use all types that JSON can represent: None, bool, int, float, str, Any, Literal and enums of these, lists,
tuples, dicts with str keys, records (dataclasses, TypedDicts, msgspec Structs) of these, unions, and Annotated bounds.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from types import UnionType

import msgspec

from edge.core.errors import BadArguments
from edge.core.values import Hint, JsonObject, JsonValue

_ALLOWED = "None, bool, int, float, str, Any, Literal, enums, list, tuple, dict[str, ...] and records of these"
#: Key in a schema with a `pattern`: describes in words which text the pattern allows.
ALLOWED = "x-allowed"
_REFERENCE = "#/$defs/{name}"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = (
    msgspec.inspect.AnyType,
    msgspec.inspect.NoneType,
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.StrType,
    msgspec.inspect.LiteralType,
    msgspec.inspect.EnumType,
)
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@dataclass(frozen=True)
class Parameter:
    """One argument of a task."""

    name: str
    hint: Hint
    required: bool
    default: object = None
    by_place: bool = True  # it may be passed by position; otherwise only by name


@dataclass(frozen=True)
class Signature:
    """The arguments of a task."""

    task: str
    parameters: tuple[Parameter, ...]  # without the one for the `Job`
    job_parameter: str | None = None  # name of the parameter in which the worker passes the `Job`

    @classmethod
    def of(cls, function: Callable[..., object], *, task: str = "") -> Signature:
        """Return the signature of `function`.

        Args:
            function: the function of a task.
            task: name of the task; by default that of the function.

        Raises:
            TypeError: a hint cannot be used. The message names file, function and parameter.
        """
        code = getattr(function, "__code__", None)
        where = f"{code.co_filename}:{code.co_firstlineno}: {function.__name__}()" if code else repr(function)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as err:
            raise TypeError(f"{where}: its type hints cannot be read: {err}") from err
        parameters: list[Parameter] = []
        job_parameter: str | None = None
        for name, found in inspect.signature(function).parameters.items():
            if found.kind not in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY):
                raise TypeError(f"{where}: parameter {name!r}: a task takes named parameters only, no *, ** or /")
            if name not in hints:
                raise TypeError(f"{where}: parameter {name!r} has no type hint; allowed are {_ALLOWED}")
            hint = hints[name]
            if _is_job(hint):
                if job_parameter is not None:
                    raise TypeError(f"{where}: parameter {name!r}: the task has a Job already: {job_parameter!r}")
                job_parameter = name
                continue
            _check_hint(hint, f"{where}: parameter {name!r}")
            required = found.default is found.empty
            parameters.append(
                Parameter(
                    name,
                    hint,
                    required,
                    None if required else found.default,
                    found.kind is found.POSITIONAL_OR_KEYWORD,
                )
            )
        return cls(task or function.__name__, tuple(parameters), job_parameter)

    @property
    def positional(self) -> tuple[str, ...]:
        """Names of the arguments that may be passed by position, in order."""
        return tuple(parameter.name for parameter in self.parameters if parameter.by_place)

    def has(self, name: str) -> bool:
        """Return True if there is an argument of this name."""
        return any(parameter.name == name for parameter in self.parameters)

    def schema(self) -> JsonObject:
        """Return the JSON Schema (2020-12) of an object with the arguments by name."""
        shapes, parts = msgspec.json.schema_components(
            [parameter.hint for parameter in self.parameters], ref_template=_REFERENCE
        )
        properties = {}
        for parameter, shape in zip(self.parameters, shapes, strict=True):
            node = _typed(shape)
            if not parameter.required:
                node = {**node, "default": _plain(parameter.default)}
            properties[parameter.name] = node
        schema: JsonObject = {"$schema": _DIALECT, "type": "object", "properties": properties}
        schema["required"] = [parameter.name for parameter in self.parameters if parameter.required]
        schema["additionalProperties"] = False
        if parts:
            schema["$defs"] = {name: _typed(part) for name, part in parts.items()}
        return schema

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> JsonObject:
        """Return the arguments by name, converted to the types of the hints. Raises BadArguments with one sentence."""
        arguments = named(self.task, self.positional, args, kwargs)
        by_name = {parameter.name: parameter for parameter in self.parameters}
        for name in arguments:
            if name not in by_name:
                raise BadArguments(self.task, f"unknown argument {name!r}; {takes(tuple(by_name))}")
        bound = {}
        for name, parameter in by_name.items():
            if name in arguments:
                try:
                    bound[name] = msgspec.convert(arguments[name], parameter.hint, strict=True)
                except (msgspec.ValidationError, RecursionError, OverflowError) as err:
                    reason = str(err).replace("`", "")
                    raise BadArguments(self.task, f"argument {name!r} = {short(arguments[name])}: {reason}") from err
            elif parameter.required:
                raise BadArguments(self.task, f"argument {name!r} is missing; {takes(tuple(by_name))}")
        return bound


def named(
    task: str, positional: Sequence[str], args: Sequence[object], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Return all arguments by name.

    Args:
        task: name of the task, for errors.
        positional: names of the arguments that may be passed by position, in order.
        args: arguments by position.
        kwargs: arguments by name.

    Raises:
        BadArguments: there are too many arguments by position, or one is passed twice.
    """
    if len(args) > len(positional):
        raise BadArguments(task, f"{len(args)} arguments given by place; {takes(positional)}")
    arguments = dict(zip(positional, args, strict=False))
    for name, value in kwargs.items():
        if name in arguments:
            raise BadArguments(task, f"argument {name!r} is given by place and by name")
        arguments[name] = value
    return arguments


def takes(names: Sequence[str]) -> str:
    """Return the end of a sentence that lists the arguments."""
    return f"the task takes {', '.join(names)}" if names else "the task takes no arguments"


def short(value: object) -> str:
    """Return `value` as text of at most 80 characters, for an error message."""
    shortener = Repr()
    shortener.maxstring = shortener.maxlong = shortener.maxother = 60
    shortener.maxlist = shortener.maxdict = shortener.maxtuple = 4
    try:
        text = shortener.repr(value)
    except ValueError:  # an int with more digits than Python converts to text
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_job(hint: object) -> bool:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return any(_is_job(part) for part in typing.get_args(hint))
    return isinstance(hint, type) and getattr(hint, "__edge_job__", False) is True


def _check_hint(hint: Hint, where: str) -> None:
    try:
        kind = msgspec.inspect.type_info(hint)
    except Exception as err:
        raise TypeError(f"{where}: its type hint cannot be used ({err}); allowed are {_ALLOWED}") from err
    bad = _unusable(kind, set())
    if bad is not None:
        raise TypeError(f"{where}: {bad} cannot come as JSON; allowed are {_ALLOWED}")


def _unusable(kind: msgspec.inspect.Type, seen: set[int]) -> str | None:
    """Return the name of the first part of a type that JSON Schema and msgspec treat differently, or None."""
    info = msgspec.inspect
    if isinstance(kind, _SCALARS):
        return None
    parts: list[msgspec.inspect.Type]
    if isinstance(kind, info.Metadata):
        parts = [kind.type]
    elif isinstance(kind, info.UnionType):
        parts = list(kind.types)
    elif isinstance(kind, info.ListType | info.VarTupleType):
        parts = [kind.item_type]
    elif isinstance(kind, info.TupleType):
        parts = list(kind.item_types)
    elif isinstance(kind, info.DictType):
        if not isinstance(kind.key_type, info.StrType | info.AnyType):
            return "a dict whose keys are not str"
        parts = [kind.value_type]
    elif isinstance(kind, info.StructType | info.DataclassType | info.TypedDictType):
        if id(kind.cls) in seen:
            return None
        seen.add(id(kind.cls))
        parts = [field.type for field in kind.fields]
    else:
        return type(kind).__name__.removesuffix("Type").lower()
    return next((bad for part in parts if (bad := _unusable(part, seen)) is not None), None)


def _typed(node: JsonValue) -> JsonValue:
    """Return the schema with a `type` added to every `enum`. Otherwise JSON Schema would accept 1.0 for 1."""
    if isinstance(node, list):
        return [_typed(part) for part in node]
    if not isinstance(node, dict):
        return node
    out = {key: part if key in ("default", "enum") else _typed(part) for key, part in node.items()}
    if isinstance(out.get("enum"), list) and "type" not in out:
        kinds = sorted({_KINDS[type(value)] for value in out["enum"]})
        out["type"] = kinds[0] if len(kinds) == 1 else kinds
    return out


def _plain(value: object) -> JsonValue:
    """Return a default value in a form that JSON can represent."""
    try:
        return msgspec.to_builtins(value, str_keys=True)
    except (TypeError, ValueError, msgspec.ValidationError):
        return repr(value)
