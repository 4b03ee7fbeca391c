"""Accepts valid arguments fast. The general validator takes fifty times as long.

Only a positive answer is certain. In all other cases the general validator decides, and explains what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from edge.catalog.signature import ALLOWED
from edge.core.values import JsonValue

#: Returns True if the value certainly fits.
Test = Callable[[JsonValue], bool]

#: The general validator decides about whole numbers from this size on, because a float may not hold them.
_EXACT = 2**53
_ANNOTATIONS = frozenset({"$schema", "title", "description", "default", "examples", ALLOWED})
_BOUNDS: dict[str, Callable[[JsonValue], Test]] = {
    "minimum": lambda limit: lambda value: value >= limit,
    "maximum": lambda limit: lambda value: value <= limit,
    "exclusiveMinimum": lambda limit: lambda value: value > limit,
    "exclusiveMaximum": lambda limit: lambda value: value < limit,
    "minLength": lambda limit: lambda value: len(value) >= limit,
    "maxLength": lambda limit: lambda value: len(value) <= limit,
    "minItems": lambda limit: lambda value: len(value) >= limit,
    "maxItems": lambda limit: lambda value: len(value) <= limit,
    "pattern": lambda limit: lambda value: re.search(limit, value) is not None,  # `re` caches compiled patterns
    "enum": lambda limit: frozenset(limit).__contains__,
}
_TEXT_RULES = frozenset({"minLength", "maxLength", "pattern", "enum"})
#: For each JSON type: a test of the type, and the rules that are known here.
_TYPES: dict[str, tuple[Test, frozenset[str]]] = {
    # The types must be exact: a JSON decoder returns no subclasses, and True must not pass for a number.
    "string": (lambda value: type(value) is str, _TEXT_RULES),
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
    """Return a test of named arguments against their schemas. It does not check that required ones are present.

    Args:
        properties: the schema of each argument.
    """
    tests = {name: _test(schema) for name, schema in properties.items()}

    def fits(arguments: Mapping[str, JsonValue]) -> bool:
        for name, value in arguments.items():
            test = tests.get(name)
            if test is None or not test(value):
                return False
        return True

    return fits


def _test(schema: JsonValue) -> Test | None:
    """Return the test for one schema, or None if the schema has a rule that is not known here."""
    if not isinstance(schema, dict):
        return None
    rules = schema.keys() - _ANNOTATIONS
    if not rules:
        return lambda _value: True
    if rules == {"anyOf"}:
        parts = [_test(part) for part in schema["anyOf"]]
        tests = [part for part in parts if part is not None]  # it is enough if one alternative fits
        return (lambda value: any(part(value) for part in tests)) if tests else None
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return None
    is_kind, allowed = _TYPES[kind]
    if not rules - {"type"} <= allowed:
        return None
    tests = [is_kind, *(_BOUNDS[rule](schema[rule]) for rule in rules if rule in _BOUNDS)]
    if "items" in rules:
        item = _test(schema["items"])
        if item is None:
            return None
        tests.append(lambda value: all(map(item, value)))
    if len(tests) == 1:
        return is_kind
    return lambda value: all(test(value) for test in tests)
