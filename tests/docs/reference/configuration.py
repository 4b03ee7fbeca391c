"""Makes the reference of the keys of `edge.yaml`, from the records and the descriptions of their fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import yaml
from msgspec import inspect

from edge.config.about import bare, example_of, text_of
from edge.config.allowed import allowed
from edge.config.kinds import Kinds
from edge.config.records import Config
from edge.config.source import SourceConfig
from tests.docs.generated import table

_HEADING = ("key", "default", "allowed", "meaning")


def keys() -> str:
    """Return a table for each section but `power`."""
    return _tables(power=False)


def power_keys() -> str:
    """Return a table for `power` and each section in it, without the keys of power sources."""
    return _tables(power=True)


def _tables(*, power: bool) -> str:
    root, text = inspect.type_info(Config), ""
    for name, kind, about in _sections(root, ""):
        rows = [row for row in _rows(kind, root, name) if row]
        if rows and (name.partition(".")[0] == "power") is power:
            text += f"\n## {name}\n\n{about}\n\n" if name else "## The top of the file\n\n"
            text += table(_HEADING, rows)
    return text.strip()


def _sections(kind: inspect.Type, prefix: str, about: str = "") -> Iterator[tuple[str, inspect.StructType, str]]:
    kind = bare(kind)
    assert isinstance(kind, inspect.StructType)
    yield prefix, kind, about
    for field in kind.fields:
        name = f"{prefix}.{field.encode_name}".lstrip(".")
        inner = bare(field.type)
        if isinstance(inner, inspect.StructType):
            yield from _sections(inner, name, text_of(field.type))
            continue
        for item, suffix in _items(inner):
            if not issubclass(item.cls, SourceConfig):
                yield from _sections(item, f"{name}{suffix}", (item.cls.__doc__ or "").partition("\n")[0])


def _items(kind: inspect.Type) -> Iterator[tuple[inspect.StructType, str]]:
    """Yield the records in a type that is not a record itself: items of a list, values of a dict, options."""
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for option in map(bare, options):
        inner, suffix = option, ""
        if isinstance(option, inspect.CollectionType | inspect.VarTupleType):
            inner, suffix = bare(option.item_type), "[]"
        elif isinstance(option, inspect.DictType):
            inner, suffix = bare(option.value_type), ".NAME"
        if isinstance(inner, inspect.StructType):
            yield inner, suffix


def _rows(kind: inspect.StructType, root: inspect.Type, prefix: str) -> Iterator[tuple[str, ...]]:
    for field in kind.fields:
        if isinstance(bare(field.type), inspect.StructType):
            continue
        yield _row(field, allowed(kind, field.encode_name))


def _row(field: inspect.Field, bounds: str) -> tuple[str, ...]:
    default = "required" if field.required else f"`{_inline(_default(field))}`"
    example = example_of(field.type)
    meaning = text_of(field.type)
    if example is not None and field.required:
        meaning = f"{meaning}; such as `{example}`".lstrip("; ")
    return f"`{field.encode_name}`", default, re.sub(r"matches (\S+)", r"matches `\1`", bounds), meaning


def sources() -> str:
    """Return a table of the keys of each kind of source."""
    common = inspect.type_info(SourceConfig)
    assert isinstance(common, inspect.StructType)
    names = {field.encode_name for field in common.fields}
    text = "## Keys of every source\n\n" + table(
        _HEADING, (_row(f, allowed(common, f.encode_name)) for f in common.fields)
    )
    kinds = Kinds()
    for kind in kinds.names():
        record = kinds.record(kind)
        shape = inspect.type_info(record)
        assert isinstance(shape, inspect.StructType)
        rows = [_row(f, allowed(shape, f.encode_name)) for f in shape.fields if f.encode_name not in names]
        text += f"\n## kind: {kind}\n\n{(record.__doc__ or '').partition(chr(10))[0]}\n\n"
        text += table(_HEADING, rows) if rows else "It has no further keys.\n"
    return text


def _default(field: inspect.Field) -> object:
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return msgspec.to_builtins(value, enc_hook=str)


def _inline(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False).split("\n...")[0].strip()
