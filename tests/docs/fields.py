"""Reads the meaning of record fields and enum members from the comments in the code, for the reference."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from enum import Enum
from typing import Any

import msgspec


def comments(kind: type) -> dict[str, str]:
    """Return the comment of each field that `kind` and its bases declare, or an empty string if it has none."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("edge."):
            found |= _of_class(each)
    return found


def _of_class(kind: type) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(kind))
    by_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and node.end_lineno is not None:
            found[target.id] = by_line.get(node.end_lineno, "")
    return found


#: Meanings of fields without a comment in the record, by name.
_PLAIN = {
    "about": "subject of the event",
    "accepted_at": "when the board took it (Unix time)",
    "args": "its positional arguments",
    "at": "when (Unix time)",
    "attempts": "bodies begun",
    "boot_id": "id of the boot that wrote it",
    "code": "stable, for programs",
    "cpu_seconds": "CPU time",
    "deed": "what happened",
    "failure": "why there is no value",
    "files": "the files of the job",
    "finished_at": "when it ended (Unix time)",
    "format": "version of this layout",
    "id": "id of the job",
    "joules": "energy",
    "kwargs": "its named arguments",
    "max_temp_c": "it waits while the board is hotter (degrees Celsius)",
    "message": "one line for people",
    "metering": "measured by a power monitor, or estimated from CPU time",
    "name": "name",
    "pid": "id of the process that wrote it",
    "power": "power class of the job",
    "progress": "progress that the job reported",
    "queues": "queues from which it takes jobs",
    "reason": "a sentence for people",
    "retries": "how often a failed body is run again",
    "seconds": "how long the body ran",
    "sha256": "SHA-256 of the content, in hex",
    "since": "when it came into this state (Unix time)",
    "size_bytes": "size in bytes",
    "slots": "bodies that it can run at once",
    "started_at": "when its last body began (Unix time)",
    "state": "state",
    "submitter": "name of the token that submitted it",
    "task": "kind of job",
    "time_limit_s": "the longest time a body may run",
    "traceback": "traceback of the exception, if there was one",
    "type": "class of the exception",
    "value": "what the body returned",
    "worker": "name of the worker",
}


def rows_of_record(kind: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    """Return (name, type, meaning) of each field, in the order of the record."""
    meanings = comments(kind)
    definitions = msgspec.json.schema(kind)["$defs"]
    names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    return [
        (f"`{name}`", _type(shape, definitions), _json_terms(meanings.get(names[name]) or _PLAIN.get(name, "")))
        for name, shape in definitions[kind.__name__]["properties"].items()
    ]


def rows_of_enum(kind: type[Enum]) -> list[tuple[str, str]]:
    """Return (value, meaning) of each member."""
    meanings = comments(kind)
    return [(f"`{member.value}`", meanings.get(name, "")) for name, member in kind.__members__.items()]


def _json_terms(text: str) -> str:
    """Return a comment of the code with the terms of JSON: `null` for `None`."""
    return re.sub(r"\bNone\b", "null", text)


def _type(shape: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Describe a JSON Schema in a few words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return _type(definitions[name], definitions) if "enum" in definitions[name] else name
    if "enum" in shape:
        return "one of " + ", ".join(f"`{value}`" for value in shape["enum"])
    if options := shape.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in options))
    kind = str(shape.get("type", "any JSON"))
    if kind == "array":
        return f"list of {_type(shape['items'], definitions)}" if shape.get("items") else "list"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    low, high = shape.get("minimum", shape.get("exclusiveMinimum")), shape.get("maximum")
    bounds = f" from {low:,} to {high:,}" if low is not None and high is not None and high < 1 << 53 else ""
    return names.get(kind, kind) + bounds
