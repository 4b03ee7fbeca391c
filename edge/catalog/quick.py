"""A fast check for arguments that fit their schema. The general validator costs fifty times as much.

Only a positive answer counts. For everything else the general validator decides, and explains what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from edge.catalog.signature import ALLOWED
from edge.core.values import JsonValue

#: True: the value fits for certain.
Test = Callable[[JsonValue], bool]

#: A whole number beyond the range of floats is no number: larger ones are left to the general validator.
_EXACT = 2**53
_NOTES = frozenset({"$schema", "title", "description", "default", "examples", ALLOWED})
_BOUNDS: dict[str, Callable[[JsonValue], Test]] = {
    "minimum": lambda limit: lambda value: value >= limit,
    "maximum": lambda limit: lambda value: value <= limit,
    "exclusiveMinimum": lambda limit: lambda value: value > limit,
    "exclusiveMaximum": lambda limit: lambda value: value < limit,
    "minLength": lambda limit: lambda value: len(value) >= limit,
    "maxLength": lambda limit: lambda value: len(value) <= limit,
    "minItems": lambda limit: lambda value: len(value) >= limit,
    "maxItems": lambda limit: lambda value: len(value) <= limit,
    "pattern": lambda limit: lambda value: re.search(limit, value) is not None,  # `re` keeps what it has compiled
    "enum": lambda limit: frozenset(limit).__contains__,
}
_WORDS = frozenset({"minLength", "maxLength", "pattern", "enum"})
_TYPES: dict[str, tuple[Test, frozenset[str]]] = {
    # Exact types: JSON gives no others, and True is no number.
    "string": (lambda value: type(value) is str, _WORDS),
    "integer": (
        lambda value: type(value) is int,
        frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    ),
    "number": (
        lambda value: (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < _EXACT),
        frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    ),
    "boolean": (lambda value: type(value) is bool, frozenset()),
    "null": (lambda value: value is None, frozenset()),
    "array": (lambda value: type(value) is list, frozenset({"minItems", "maxItems", "items"})),
}


def compiled(properties: Mapping[str, JsonValue]) -> Callable[[Mapping[str, JsonValue]], bool]:
    """Return a test of named arguments against their schemas. It does not check that required ones are present."""
    tests = {name: _test(schema) for name, schema in properties.items()}

    def fits(given: Mapping[str, JsonValue]) -> bool:
        for name, value in given.items():
            test = tests.get(name)
            if test is None or not test(value):
                return False
        return True

    return fits


def _test(schema: JsonValue) -> Test | None:
    """The test for one schema; None where it says something that is not known here."""
    if not isinstance(schema, dict):
        return None
    words = schema.keys() - _NOTES
    if not words:
        return lambda _value: True
    if words == {"anyOf"}:
        parts = [_test(part) for part in schema["anyOf"]]
        tests = [part for part in parts if part is not None]  # one yes is enough
        return (lambda value: any(part(value) for part in tests)) if tests else None
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return None
    is_kind, allowed = _TYPES[kind]
    if not words - {"type"} <= allowed:
        return None
    tests = [is_kind, *(_BOUNDS[word](schema[word]) for word in words if word in _BOUNDS)]
    if "items" in words:
        item = _test(schema["items"])
        if item is None:
            return None
        tests.append(lambda value: all(map(item, value)))
    if len(tests) == 1:
        return is_kind
    return lambda value: all(test(value) for test in tests)
