"""Reads YAML into plain values, with limits and without duplicate keys. Every fault is one ConfigError."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from edge.core.errors import ConfigError
from edge.core.values import JsonObject

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 20
_MAX_JSON_DEPTH = 100  # the depth that the gateway allows for arguments of jobs
_MAX_VALUES = 20_000  # an alias counts at each use, because a file of 1 kB can expand to 10^9 values
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses duplicate keys and reads fewer texts as numbers.

    A duplicate key is an error, because the second value would silently replace the first. YAML 1.1 reads `0600` as
    octal 384 and `22:00` as the sexagesimal number 1320. Nobody who writes a configuration means that, so both stay
    text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """Return the mapping of `node`. Raises ConstructorError if a key is given twice."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the method of the base class raises the error, with its place
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> object:
        """Return the number of `node`, or its text if YAML 1.1 would read it as octal or sexagesimal."""
        text = str(self.construct_scalar(node))
        if ":" in text or _OCTAL.fullmatch(text):
            return text
        if node.tag == "tag:yaml.org,2002:int":
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)


def read(path: Path) -> JsonObject:
    """Return the keys and values of the file at `path`. Raises ConfigError."""
    try:
        # Opening a named pipe blocks until another process writes to it; without one the file would seem to be empty.
        # An unnamed pipe, such as the one behind /dev/stdin, is allowed: it is open already.
        if path.resolve().is_fifo():
            raise ConfigError("config", str(path), "expected a file, not a named pipe")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError) as err:  # RuntimeError: a loop of symbolic links
        raise ConfigError("config", str(path), getattr(err, "strerror", None) or str(err)) from err
    if len(data) > _MAX_BYTES:
        raise ConfigError("config", str(path), f"expected a file of at most {_MAX_BYTES} bytes")
    tree = _parsed(data, "config", str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("config", str(path), "expected a mapping at the top of the file")
    return tree


def value(text: str, name: str) -> object:
    """Return the text of the variable `name` as a YAML value. Raises ConfigError."""
    try:
        return _parsed(text, name, text)
    except ConfigError as err:
        raise ConfigError(err.key, err.value, err.allowed, origin="environment") from err


def parsed(data: bytes, name: str, *, most_values: int) -> object:
    """Return the content of the YAML file `name`, by the rules of `edge.yaml` with other limits. Raises ConfigError."""
    return _parsed(data, "file", name, most_values=most_values, most_depth=_MAX_JSON_DEPTH)


def _parsed(
    data: str | bytes, key: str, shown: str, *, most_values: int = _MAX_VALUES, most_depth: int = _MAX_DEPTH
) -> object:
    try:
        tree = yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as err:
        # The other exceptions come from dates such as 2001-13-45, from numbers too long for Python, and from bytes
        # that are not text.
        raise ConfigError(key, shown, f"not YAML: {' '.join(str(err).split())}") from err
    fault = _fault(tree, most_values, most_depth)
    if fault:
        raise ConfigError(key, shown, fault)
    return tree


def _fault(tree: object, most_values: int, most_depth: int) -> str:
    """Return why the tree cannot be used, or an empty string. Stops at the first limit that is exceeded."""
    values = 0
    todo: list[tuple[object, int]] = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        values += 1
        if depth > most_depth:
            return f"nested deeper than {most_depth} levels"
        if values > most_values:
            return f"more than {most_values} values"
        if isinstance(node, dict):
            todo += [(part, depth + 1) for pair in node.items() for part in pair]
        elif isinstance(node, list | tuple | set):
            todo += [(part, depth + 1) for part in node]
        elif isinstance(node, str) and not node.isascii():
            try:
                node.encode()
            except UnicodeEncodeError:
                return "holds half of a UTF-16 pair, which is not text"
    return ""
