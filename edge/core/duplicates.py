"""Finds names that one JSON object has twice. JSON readers differ in which value they keep, so the job is unclear."""

from __future__ import annotations

import json
import re

#: One string of valid JSON, and the colon that makes it a name. Values are matched too, or their quotes would mislead.
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"([ \t\r\n]*:)?', re.DOTALL)


class _Twice(ValueError):
    """Carries the name out of the decoder."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def duplicate(content: bytes) -> str | None:
    """Return a name that one object in `content` has twice, or None.

    `content` must be valid JSON and not deeply nested. In most jobs no name occurs twice, not even in two objects;
    one pass of a regular expression shows that. Only other content, or a name with an escape, is decoded.
    """
    names = [name for name, colon in _STRING.findall(content) if colon]
    if len(set(names)) == len(names) and not any(b"\\" in name for name in names):
        return None
    try:
        json.loads(content, object_pairs_hook=_object, parse_int=_skip, parse_float=_skip)
    except _Twice as twice:
        return twice.name
    return None


def _object(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _Twice(name)
        seen.add(name)


def _skip(_text: str) -> None:
    """Numbers are not looked at: Python refuses to read one of more than 4,300 digits."""
