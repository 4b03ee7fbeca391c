"""Parses and fills a word of a command line with holes (placeholders): `scale={width}:-1`, `{output:out.mp4}`.

A word becomes exactly one argument, in one pass. A filled-in value is not parsed again, and no shell reads it. `{{` and
`}}` stand for braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT = "output:"


@dataclass(frozen=True)
class Hole:
    """A placeholder in a word, which is filled when the command runs."""

    name: str  # name of a parameter or an input; name of a file if `is_output`
    is_output: bool = False


#: The parts of a word in order: fixed text and holes.
Word = tuple[str | Hole, ...]


def parse(text: str) -> Word:
    """Return the parts of a word. Raises ValueError, with the reason, on braces that are not a hole."""
    parts = list[str | Hole]()
    for match in _PART.finditer(text):
        found, name = match[0], match[1]
        if found in ("{{", "}}"):
            parts.append(found[0])
        elif name is None and found in ("{", "}"):
            raise ValueError(f"a single {found!r}: write {found * 2!r} for the character itself")
        elif name is None:
            parts.append(found)
        elif name.startswith(_OUTPUT):
            parts.append(Hole(name.removeprefix(_OUTPUT), is_output=True))
        elif _NAME.fullmatch(name):
            parts.append(Hole(name))
        else:
            raise ValueError(
                f"{{{name}}}: expected {{NAME}} of letters, digits and _, not starting with a digit, or {{output:FILE}}"
            )
    return tuple(parts)


def holes(word: Word) -> tuple[Hole, ...]:
    """Return the holes of a word, in order."""
    return tuple(part for part in word if isinstance(part, Hole))


def filled(word: Word, value_of: Callable[[Hole], str]) -> str:
    """Return the argument that results from filling the holes of a word."""
    return "".join(value_of(part) if isinstance(part, Hole) else part for part in word)
