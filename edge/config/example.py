"""Writes a commented `edge.yaml` from the records: every key with its default and its meaning.

`edge config example` prints it. Only the heading is written by hand; the explanation of a key is its `about`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import msgspec
import yaml
from msgspec import inspect

from edge.config.about import bare, example_of, text_of
from edge.config.kinds import Kinds
from edge.config.records import Config
from edge.config.source import SourceConfig

_WIDTH = 110
_HEADING = """\
# The configuration of a board. Every key is here with its default. A key that is left out has its default, and an empty
# section has the defaults of its keys. Unknown keys and values out of bounds stop the start; one line names them.
#
# Read from --config FILE, EDGE_CONFIG, ./.edge/edge.yaml or /etc/edge/edge.yaml, whichever is first.
# A variable wins over the file: EDGE_GATEWAY_PORT=8500 is `gateway: {port: 8500}`.
# `edge config check` says whether a file can be used, `edge config show` what is in force and where it comes from.
# Units stand in the names: _s seconds, _bytes bytes, _percent percent of charge, _c degrees Celsius.
"""


def example() -> str:
    """Return the whole file as text."""
    lines = [_HEADING]
    for field in _fields(Config):
        lines += ["", *_field(field, "")] if not _is_leaf(field) or text_of(field.type) else _field(field, "")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _fields(record: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    kind = inspect.type_info(record)
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{record} is not a record")
    return kind.fields


def _field(field: inspect.Field, indent: str) -> Iterator[str]:
    """Yield the lines of one key: its explanation, then the key with its default, or a section with all its keys."""
    yield from _comment(text_of(field.type), indent)
    kind = bare(field.type)
    if isinstance(kind, inspect.StructType):
        yield f"{indent}{field.encode_name}:"
        long = [not _is_leaf(inner) or inner.encode_name == "sources" for inner in kind.fields]
        for number, inner in enumerate(kind.fields):
            if number and (long[number] or long[number - 1]):
                yield ""
            yield from _field(inner, indent + "  ")
        return
    for record in _records(kind):
        if issubclass(record, SourceConfig):
            yield from _sources(indent)
        elif isinstance(kind, inspect.UnionType):  # an optional section, null by default
            yield from _comment(f"`{field.encode_name}: {_inline(_sample(record))}`", indent)
        else:
            yield from _item(record, indent)
    yield f"{indent}{field.encode_name}: {_inline(_default(field))}"


def _sources(indent: str) -> Iterator[str]:
    """Yield every kind of source with all its keys, as comments that a person can uncomment."""
    yield f"{indent}# Common to all:"
    common = {field.encode_name: field for field in _fields(SourceConfig)}
    for name, field in common.items():
        yield from _noted(f"{indent}#     ", f"{name}: {_inline(example_of(field.type))}", text_of(field.type))
    yield f"{indent}#"
    kinds = Kinds()
    for kind in kinds.names():
        record = kinds.record(kind)
        summary = (record.__doc__ or "").strip().splitlines()
        yield from _noted(f"{indent}#   ", f"- kind: {kind}", summary[0] if summary else "")
        for field in _fields(record):
            if field.encode_name not in common:
                value = example_of(field.type)
                shown = _inline(_default(field) if value is None else value)
                yield from _noted(f"{indent}#     ", f"{field.encode_name}: {shown}", text_of(field.type))


def _item(record: type[msgspec.Struct], indent: str) -> Iterator[str]:
    """Yield one item of a list of records with all its keys, as comments that a person can uncomment."""
    for number, (name, value) in enumerate(_sample(record).items()):
        text = text_of(next(field.type for field in _fields(record) if field.encode_name == name))
        yield from _noted(f"{indent}#   {'- ' if number == 0 else '  '}", f"{name}: {_inline(value)}", text)


def _noted(indent: str, key: str, text: str) -> Iterator[str]:
    """Yield a key with its explanation on the same line, or above the key if the line would be too long."""
    line = f"{indent + key:<37} # {text}" if text else indent + key
    if len(line) <= _WIDTH + 10:
        yield line
        return
    yield from _comment(text, indent)
    yield indent + key


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _sample(record: type[msgspec.Struct]) -> dict[str, object]:
    """Return a sample of a record for the file: the example of each field, or its default if it has no example."""
    shown = {}
    for field in _fields(record):
        value = example_of(field.type)
        shown[field.encode_name] = _default(field) if value is None else value
    return shown


def _default(field: inspect.Field) -> object:
    if field.default is not msgspec.NODEFAULT:
        value = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        raise TypeError(f"{field.name} has neither a default nor an example")
    return msgspec.to_builtins(value, enc_hook=str)


def _inline(value: object) -> str:
    """Return a value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False).split("\n...")[0].strip()


def _records(kind: inspect.Type) -> Iterator[type[msgspec.Struct]]:
    """Yield the records directly inside a list or an optional type."""
    inner = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for option in inner:
        item = option.item_type if isinstance(option, inspect.CollectionType | inspect.VarTupleType) else option
        if isinstance(found := bare(item), inspect.StructType):
            yield found.cls


def _is_leaf(field: inspect.Field) -> bool:
    return not isinstance(bare(field.type), inspect.StructType)
