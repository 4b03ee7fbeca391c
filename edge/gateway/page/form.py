"""Makes form fields from the JSON Schema of a kind's arguments, and arguments from a filled-in form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from edge.catalog.catalogue import TaskInfo
from edge.core.errors import BadArguments
from edge.core.values import JsonObject, JsonValue

#: An argument that may have more characters than this gets a field of several lines.
_ONE_LINE = 200
#: Prefix of the field names of arguments. It keeps them apart from the fields of the job's options.
PREFIX = "a-"


class Shape(StrEnum):
    """The type of a field: it decides how the field is drawn and how its text is read."""

    TEXT = "text"
    LINES = "lines"  # text of several lines
    WHOLE = "whole"  # a whole number
    NUMBER = "number"
    TICK = "tick"  # a checkbox
    CHOICE = "choice"  # one value of a list
    JSON = "json"  # every other type: the person writes JSON


class Field(msgspec.Struct, frozen=True):
    """The form field of one argument."""

    name: str
    shape: Shape
    required: bool
    nullable: bool = False
    default: JsonValue = None
    choices: tuple[JsonValue, ...] = ()
    bounds: dict[str, JsonValue] = {}  # attributes of the field in HTML
    hint: str = ""  # what is allowed, in words

    @property
    def key(self) -> str:
        """The name of the field in the form."""
        return f"{PREFIX}{self.name}"

    @property
    def filled(self) -> str:
        """The default as the field shows it."""
        if self.default is None:
            return ""
        if self.shape in {Shape.JSON, Shape.CHOICE, Shape.TICK} and not isinstance(self.default, str):
            return msgspec.json.encode(self.default).decode()
        return str(self.default)

    def read(self, text: str | None) -> JsonValue:
        """Return the value of what a person filled in, or UNSET if the argument must be left out.

        Args:
            text: the content of the field; None if the form was sent without it, as browsers do for an empty checkbox.

        Raises:
            ValueError: the text is not such a value. The message says what is allowed.
        """
        if self.shape is Shape.TICK:
            return text is not None
        if text is None or text == "":
            if self.required and self.shape in {Shape.TEXT, Shape.LINES} and text is not None:
                return ""
            if self.required and not self.nullable:
                raise ValueError("is needed")
            return None if self.required else msgspec.UNSET
        return self._value(text)

    def _value(self, text: str) -> JsonValue:
        match self.shape:
            case Shape.WHOLE:
                return _whole(text.strip())
            case Shape.NUMBER:
                return _number(text.strip())
            case Shape.CHOICE:
                return next((each for each in self.choices if text == choice_text(each)), text)
            case Shape.JSON:
                return _json(text)
            case _:
                return text


def choice_text(value: JsonValue) -> str:
    """Return a choice as the form shows and sends it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def fields_of(kind: TaskInfo) -> tuple[Field, ...]:
    """Return the fields for the arguments of `kind`, in the order of its signature."""
    schema = kind.schema
    required = frozenset(schema.get("required", ()))
    parts: JsonObject = schema.get("$defs", {})
    return tuple(
        _field(name, node, parts, required=name in required) for name, node in schema.get("properties", {}).items()
    )


def arguments(kind: TaskInfo, fields: tuple[Field, ...], sent: Mapping[str, str]) -> JsonObject:
    """Return the arguments by name. Raises BadArguments, naming the first argument that cannot be read."""
    found: JsonObject = {}
    for field in fields:
        try:
            value = field.read(sent.get(field.key))
        except ValueError as err:
            raise BadArguments(kind.name, f"argument {field.name!r} {err}") from err
        if value is not msgspec.UNSET:
            found[field.name] = value
    return found


def _field(name: str, node: JsonValue, parts: JsonObject, *, required: bool) -> Field:
    node = _resolved(node, parts)
    default = node.get("default")
    core, nullable = _without_null(node, parts)
    shape = _shape(core)
    if shape is Shape.TICK and (nullable or (required and "default" not in node)):
        shape = Shape.CHOICE  # a checkbox has no third state for "no value"
        core = {"enum": [True, False]}
    choices = tuple(core["enum"]) if shape is Shape.CHOICE else ()
    return Field(
        name, shape, required, nullable, default, choices, dict(_bounds(core, shape)), "; ".join(_hints(core, shape))
    )


def _resolved(node: JsonValue, parts: JsonObject) -> JsonObject:
    """Return `node` with its `$ref` replaced by the target. A node that is not an object allows every value."""
    if not isinstance(node, dict):
        return {}
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = parts.get(reference.rpartition("/")[2], {})
        return {**(target if isinstance(target, dict) else {}), **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def _without_null(node: JsonObject, parts: JsonObject) -> tuple[JsonObject, bool]:
    """Return the schema without null, and True if null is allowed. Several other types give an empty schema."""
    choices = node.get("anyOf")
    if not isinstance(choices, list):
        return node, False
    not_null = [part for part in (_resolved(each, parts) for each in choices) if part.get("type") != "null"]
    if len(not_null) == 1:
        return not_null[0], len(not_null) < len(choices)
    return {}, len(not_null) < len(choices)


def _shape(node: JsonObject) -> Shape:
    if "enum" in node:
        return Shape.CHOICE
    match node.get("type"):
        case "string":
            return Shape.TEXT if node.get("maxLength", _ONE_LINE + 1) <= _ONE_LINE else Shape.LINES
        case "integer":
            return Shape.WHOLE
        case "number":
            return Shape.NUMBER
        case "boolean":
            return Shape.TICK
    return Shape.JSON


def _bounds(node: JsonObject, shape: Shape) -> Iterator[tuple[str, JsonValue]]:
    """Yield HTML attributes that let the browser check the value early. The board checks every value in any case."""
    names = {"minLength": "minlength", "maxLength": "maxlength"}
    if shape in {Shape.WHOLE, Shape.NUMBER}:
        names = {"minimum": "min", "maximum": "max"}
    for keyword, attribute in names.items():
        # A browser rounds whole numbers beyond 2^53, and could then refuse a value that the kind accepts.
        if isinstance(node.get(keyword), int | float) and abs(node[keyword]) <= 2**53:
            yield attribute, node[keyword]


def _hints(node: JsonObject, shape: Shape) -> Iterator[str]:
    if isinstance(node.get("description"), str):
        yield node["description"]
    if shape is Shape.JSON:
        yield {"array": "a list, as JSON: [1, 2, 3]", "object": 'an object, as JSON: {"key": "value"}'}.get(
            str(node.get("type")), 'any value, as JSON: text stands in "quotes"'
        )
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minItems": "at least {} items",
        "maxItems": "at most {} items",
        "pattern": "matches {}",
    }
    for keyword, text in words.items():
        if keyword in node:
            value = node[keyword]
            yield text.format(f"{value:,}" if isinstance(value, int) else value)


def _whole(text: str) -> int:
    try:
        if len(text) > 400:
            raise ValueError
        return int(text)
    except ValueError:
        raise ValueError(f"= {text[:40]!r}: must be a whole number") from None


def _number(text: str) -> int | float:
    try:
        return msgspec.json.decode(text.encode(), type=int | float)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ValueError(f"= {text[:40]!r}: must be a number, such as 1.5 or 2e-3") from None


def _json(text: str) -> JsonValue:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as err:
        raise ValueError(f"= {text[:40]!r}: must be JSON ({err})") from None
