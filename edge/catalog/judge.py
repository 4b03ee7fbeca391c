"""Validates arguments that `edge.catalog.quick` does not accept, and explains why an argument does not fit.

`Catalogue` imports this module only when it meets such an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from edge.catalog.signature import ALLOWED, short
from edge.core.values import JsonObject, JsonValue

#: The name of each JSON type in a sentence.
_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def _is_integer(_checker: object, value: object) -> bool:
    """Return True for an int. JSON Schema also accepts 1.0 as an integer, but the worker refuses it."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    """Return True for every number, also for numbers too large for a float.

    `minimum` and `maximum` must be checked for these too. `_type` refuses them.
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def _type(validator: Validator, kinds: JsonValue, value: JsonValue, _schema: JsonObject) -> Iterator[ValidationError]:
    """Check the rule `type`. For the type `number`, refuse a whole number beyond the range of floats.

    The reason: the worker cannot convert it to a float.
    """
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if validator.is_type(value, kind) and (kind != "number" or _fits_a_float(value)):
            return
    yield ValidationError("the value has another type")


def _fits_a_float(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type] # a number
    except OverflowError:
        return False
    return True


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, validators={"type": _type}, type_checker=_TYPES
)


def judge(schema: JsonObject) -> Callable[[Mapping[str, object]], str]:
    """Return a function that checks named arguments against `schema`.

    The function returns what is wrong with the first argument that does not fit, or "" if all fit.
    """
    validator = _Validator(schema)

    def problem(arguments: Mapping[str, object]) -> str:
        error = next(validator.iter_errors(arguments), None)
        return "" if error is None else _sentence(error)

    return problem


def _sentence(error: ValidationError) -> str:
    """Return a sentence with the argument, its value and the allowed values."""
    path = list(error.absolute_path)
    name = str(path[0]) if path else "?"
    where = "".join(f"[{part!r}]" for part in path[1:])
    return f"argument {name!r}{where} = {short(error.instance)}: {_allowed(error)}"


def _kinds(names: list[JsonValue]) -> str:
    return " or ".join(_NAMES.get(name, str(name)) for name in names)


def _allowed(error: ValidationError) -> str:
    rule: str = str(error.validator)
    if rule == "pattern" and isinstance(error.schema, dict) and ALLOWED in error.schema:
        return f"must be {error.schema[ALLOWED]}"
    limit: JsonValue = error.validator_value
    if rule == "type":
        kinds = limit if isinstance(limit, list) else [limit]
        # A number does not match the type `number` only if it is beyond the range of floats (see `_type`).
        too_large = "number" in kinds and _is_number(None, error.instance)
        return f"must be {_kinds(kinds)}" + (" within the range of a float" if too_large else "")
    if rule in ("anyOf", "oneOf"):
        types = [part.get("type") for part in limit if isinstance(part, dict)]
        if all(isinstance(kind, str) for kind in types):
            return f"must be {_kinds(types)}, within its bounds"
        return "matches none of the allowed types"
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
