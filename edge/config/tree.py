"""YAML as plain values: bounded, without duplicate keys, and any fault in it is one ConfigError."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from edge.core.errors import ConfigError
from edge.core.values import JsonObject

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 20
_MAX_JSON_DEPTH = 100  # of arguments, as the gateway takes them
_MAX_VALUES = 20_000  # aliases count each time they stand for something: a file of 1 kB can mean 10^9 values


_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that takes a file as a person means it.

    A key that is given twice is a fault: the second would silently undo the first. YAML 1.1 reads `0600` as octal
    384 and `22:00` as the sexagesimal number 1320. Nobody who writes a configuration means that: both stay text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """The mapping of `node`; raises ConstructorError where a key is given twice."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the class above says so, with its place
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> object:
        """The number of `node`, or its text where YAML 1.1 would read it as octal or sexagesimal."""
        text = str(self.construct_scalar(node))
        if ":" in text or _OCTAL.fullmatch(text):
            return text
        if node.tag == "tag:yaml.org,2002:int":
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)


def read(path: Path) -> JsonObject:
    """The file at `path` as keys and values; an empty one has none. Raises ConfigError."""
    try:
        # A named pipe would block until somebody writes to it, and one without a writer would read as an empty file.
        # A pipe without a name, such as the one behind /dev/stdin, is open already: what it leads to is no path.
        if path.resolve().is_fifo():
            raise ConfigError("config", str(path), "expected a file, not a named pipe")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError) as err:  # the last one of links that lead in a circle
        raise ConfigError("config", str(path), getattr(err, "strerror", None) or str(err)) from err
    if len(data) > _MAX_BYTES:
        raise ConfigError("config", str(path), f"a file of at most {_MAX_BYTES} bytes")
    tree = _parsed(data, "config", str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("config", str(path), "expected keys and values at the top of the file")
    return tree


def value(text: str, name: str) -> object:
    """The text of the variable `name` as a YAML value. Raises ConfigError."""
    try:
        return _parsed(text, name, text)
    except ConfigError as err:
        raise ConfigError(err.key, err.value, err.allowed, origin="environment") from err


def parsed(data: bytes, name: str, *, most_values: int) -> object:
    """Return what the YAML file `name` says, by the rules of `edge.yaml` but for its bounds. Raises ConfigError."""
    return _parsed(data, "file", name, most_values=most_values, most_depth=_MAX_JSON_DEPTH)


def _parsed(
    data: str | bytes, key: str, shown: str, *, most_values: int = _MAX_VALUES, most_depth: int = _MAX_DEPTH
) -> object:
    try:
        tree = yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as err:
        # ValueError and its like: dates such as 2001-13-45, numbers too long for Python, bytes that are no text.
        raise ConfigError(key, shown, f"not YAML: {' '.join(str(err).split())}") from err
    fault = _fault(tree, most_values, most_depth)
    if fault:
        raise ConfigError(key, shown, fault)
    return tree


def _fault(tree: object, most_values: int, most_depth: int) -> str:
    """What makes the tree unusable, if anything does; goes no deeper and no further than its bounds."""
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
                return "holds half of a UTF-16 pair, which is no text"
    return ""
