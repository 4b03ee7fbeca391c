"""What a key of `edge.yaml` may hold, in words, taken from the type of the record's field."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import inspect


def allowed(root: inspect.Type, key: str) -> str:
    """What may stand at `key` (`gateway.port`, `tasks[0]`), or an empty string where no words are known."""
    kind: inspect.Type | None = root
    described = ""
    for part in _parts(key):
        kind = _inside(kind, part)
        kind, described = _bare(kind)
    return described or (_words(kind) if kind is not None else "")


def fields(root: inspect.Type, section: str) -> list[str]:
    """The keys of the section `section` (an empty name: of the top), in the order of the record."""
    kind: inspect.Type | None = root
    for part in _parts(section):
        kind = _inside(kind, part)
    kind, _ = _bare(kind)
    for option in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(option, inspect.StructType):
            return [field.encode_name for field in option.fields]
    return []


def _parts(key: str) -> list[str]:
    return re.findall(r"[^.\[\]]+|\[[^\]]*\]", key)


def _bare(kind: inspect.Type | None) -> tuple[inspect.Type | None, str]:
    """The type without its metadata, and the description in that."""
    described = ""
    while isinstance(kind, inspect.Metadata):
        described = described or str((kind.extra_json_schema or {}).get("description", ""))
        kind = kind.type
    return kind, described


def _inside(kind: inspect.Type | None, part: str) -> inspect.Type | None:
    """The type one step further down, or None where the step leads nowhere."""
    kind, _ = _bare(kind)
    for option in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        found: inspect.Type | None = None
        match _bare(option)[0]:
            case inspect.StructType(fields=fields):
                found = next((field.type for field in fields if field.encode_name == part), None)
            case inspect.CollectionType(item_type=item) if part.startswith("["):
                found = item
            case inspect.DictType(value_type=value):
                found = value
        if found is not None:
            return found
    return None


def _words(wanted: inspect.Type) -> str:
    kind, described = _bare(wanted)
    if described:
        return described
    match kind:
        case inspect.UnionType(types=types):
            return " or ".join(filter(None, map(_words, types)))
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _bounds(kind)
        case inspect.FloatType():
            return "a number" + _bounds(kind)
        case inspect.StrType(pattern=pattern):
            return f"text that matches {pattern}" if pattern else "text"
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(str(member.value) for member in cls)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case inspect.CollectionType(item_type=item):
            return f"a list, each item {_words(item)}"
        case inspect.StructType() | inspect.DictType():
            return "keys and values"
        case inspect.CustomType(cls=cls) if cls is Path:
            return "a path"
    return ""


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f" from {kind.ge}" if kind.ge is not None else f" above {kind.gt}" if kind.gt is not None else ""
    high = f" to {kind.le}" if kind.le is not None else f" below {kind.lt}" if kind.lt is not None else ""
    return low + (high if low.startswith(" from") or not high.startswith(" to") else f" up{high}")
