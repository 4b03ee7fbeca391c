"""Finds names that occur twice in one JSON object. JSON readers keep different values, so such a job is ambiguous."""

from __future__ import annotations

import json
import re

#: One string of valid JSON, and the colon that makes it a name. The pattern must match values too: otherwise it could
#: begin a match at the closing quote of a value.
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"([ \t\r\n]*:)?', re.DOTALL)


class _Twice(ValueError):
    """Carries the duplicate name out of the JSON decoder."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def duplicate(content: bytes) -> str | None:
    """Return a name that occurs twice in one object of `content`, or None.

    `content` must be valid JSON and not deeply nested. In most jobs every name occurs only once in the whole content,
    and one pass of a regular expression shows that. Other content, and content with an escape in a name, is decoded.
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
    """Ignore a number: Python refuses to convert one of more than 4,300 digits."""
