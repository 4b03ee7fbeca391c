"""Says in words what a key of `edge.yaml` may hold, from the type of the record's field."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import inspect

_MAPPING = "a mapping"


def allowed(root: inspect.Type, key: str, tree: object = None) -> str:
    """Return what `key` (`gateway.port`, `tasks[0]`) may hold, or an empty string if no words are known.

    Args:
        root: the type of the whole file.
        key: the key, from the top of the file.
        tree: the values of the file. They decide between several records, such as the kinds of power source.
    """
    kind, described = _at(root, key, tree)
    return described or (_words(kind) if kind is not None else "")


def fields(root: inspect.Type, section: str, tree: object = None) -> list[str]:
    """Return the keys of the section `section`, in the order of the record. An empty name means the top of the file."""
    kind, _ = _at(root, section, tree)
    for option in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(option, inspect.StructType):
            chosen = [option.tag_field] if option.tag_field else []
            return chosen + [field.encode_name for field in option.fields]
    return []


def _at(root: inspect.Type, key: str, tree: object) -> tuple[inspect.Type | None, str]:
    """Return the type at `key` and its description."""
    kind: inspect.Type | None = root
    described = ""
    for part in _parts(key):
        kind, described = _bare(_inside(kind, part))
        tree = _step(tree, part)
        kind = _chosen(kind, tree)
    return kind, described


def _step(tree: object, part: str) -> object:
    """Return the value one level further down, or None."""
    if isinstance(tree, dict):
        return tree.get(part)
    number = part.strip("[]")
    return tree[int(number)] if isinstance(tree, list) and number.isdigit() and int(number) < len(tree) else None


def _chosen(kind: inspect.Type | None, value: object) -> inspect.Type | None:
    """Return the one record of several that `value` names by its tag, or the type itself if there is no such choice."""
    if isinstance(kind, inspect.UnionType) and isinstance(value, dict):
        for option in kind.types:
            if (
                isinstance(option, inspect.StructType)
                and option.tag_field
                and value.get(option.tag_field) == option.tag
            ):
                return option
    return kind


def _parts(key: str) -> list[str]:
    return re.findall(r"[^.\[\]]+|\[[^\]]*\]", key)


def _bare(kind: inspect.Type | None) -> tuple[inspect.Type | None, str]:
    """Return the type without its metadata, and the description from the metadata."""
    described = ""
    while isinstance(kind, inspect.Metadata):
        described = described or str((kind.extra_json_schema or {}).get("description", ""))
        kind = kind.type
    return kind, described


def _inside(kind: inspect.Type | None, part: str) -> inspect.Type | None:
    """Return the type one level further down, or None if `part` does not exist there."""
    kind, _ = _bare(kind)
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if tags := [o.tag for o in options if isinstance(o, inspect.StructType) and o.tag_field == part]:
        return inspect.LiteralType(tuple(sorted(map(str, tags))))
    for option in options:
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
            return " or ".join(dict.fromkeys(filter(None, map(_words, types))))
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
            words = _words(item)
            return "a list of mappings" if words == _MAPPING else f"a list, each item {words}"
        case inspect.StructType() | inspect.DictType():
            return _MAPPING
        case inspect.CustomType(cls=cls) if cls is Path:
            return "a path"
    return ""


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f" from {kind.ge}" if kind.ge is not None else f" above {kind.gt}" if kind.gt is not None else ""
    high = f" to {kind.le}" if kind.le is not None else f" below {kind.lt}" if kind.lt is not None else ""
    return low + (high if low.startswith(" from") or not high.startswith(" to") else f" up{high}")
