"""Turns a message of msgspec into a `ConfigError`: the key, its value and what is allowed there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import inspect

from edge.config.allowed import allowed, fields
from edge.core.errors import ConfigError

_LOCATION = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key` in `)?\$(?P<path>[^`]*)`)?$", re.DOTALL)


def explained(err: msgspec.ValidationError, tree: object, root: inspect.Type, *, prefix: str = "") -> ConfigError:
    """Return the error in the terms of `edge.yaml`.

    Args:
        err: the message of msgspec about `tree`.
        tree: the values that were read.
        root: the type that `tree` should have.
        prefix: where `tree` stands in the file, such as `power.sources[1]`.
    """
    match = _LOCATION.match(str(err))
    what, key = (match["what"], (match["path"] or "").lstrip(".")) if match else (str(err), "")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        advice = f"unknown key; allowed here: {', '.join(fields(root, key, tree))}"
        key = f"{key}.{unknown[1]}".lstrip(".")
    elif missing := re.search(r"missing required field `([^`]*)`", what):
        key = f"{key}.{missing[1]}".lstrip(".")
        words = allowed(root, key, tree)
        advice = f"required: {words}" if words else "required"
    elif match and match["key"]:
        advice = "expected keys that are text; put quotes around it"
        key = f"{key}.{_not_text(tree)}".replace("[...]", "").lstrip(".")
    elif words := "" if "no such user" in what else allowed(root, key, tree):
        advice = f"expected {words}"
    else:
        advice = _plain(what)
    value = _at(tree, key)
    if "[...]" in key and isinstance(root, inspect.StructType):
        key, value = _item(err, tree, root.cls, key)
    if isinstance(value, dict) and not unknown:
        value = "..." if value else {}
    joined = f"{prefix}{'.' if prefix and key and not key.startswith('[') else ''}{key}"
    return ConfigError(joined or "config", value, advice)


def _at(tree: object, key: str) -> object:
    value = tree
    for part in _parts(key):
        if isinstance(value, dict):
            value = value.get(part, "...")
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    return value


def _item(err: msgspec.ValidationError, tree: object, record: type, key: str) -> tuple[str, object]:
    """Return the key with the names that msgspec writes as `[...]`, and the value there.

    The name is found by trial: converting only one entry of the dict raises the same error again.
    """
    before, _, rest = key.partition("[...]")
    parent = _at(tree, before)
    for name, value in parent.items() if isinstance(parent, dict) else ():
        try:
            msgspec.convert(_with(tree, _parts(before), {name: value}), record, dec_hook=_taken)
        except msgspec.ValidationError as again:
            if str(again) != str(err):
                continue
            return f"{before}.{name}{rest}", "..." if "[...]" in rest else _at(value, rest)
    return key, "..."


def _with(tree: object, parts: list[str], value: object) -> object:
    """Return `tree` with `value` at the key."""
    if not parts:
        return value
    if isinstance(tree, dict):
        return {**tree, parts[0]: _with(tree[parts[0]], parts[1:], value)}
    if isinstance(tree, list):
        number = int(parts[0])
        return [*tree[:number], _with(tree[number], parts[1:], value), *tree[number + 1 :]]
    return tree


def _parts(key: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", key)


def _taken(kind: type, _: object) -> object:
    """Return some value for a type that msgspec does not know. Only errors of types that it knows matter here."""
    return Path() if kind is Path else object.__new__(kind)


def _not_text(tree: object) -> object:
    """Return the first key at any depth that is not text, or None."""
    found = iter(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ())
    for key, value in found:
        if isinstance(tree, dict) and not isinstance(key, str):
            return key
        if (deeper := _not_text(value)) is not None:
            return deeper
    return None


def _plain(what: str) -> str:
    text = what.replace("`", "")
    return text[:1].lower() + text[1:]
