"""Parts of pages that are made from the code: `<!-- generated: NAME -->` to `<!-- end of NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

Parts = Mapping[str, Callable[[], str]]
_PART = re.compile(r"<!-- generated: (?P<name>[\w-]+) -->\n(.*?)<!-- end of (?P=name) -->", re.DOTALL)


def current(text: str, parts: Parts) -> str:
    """Return a page as it should read: each part made anew.

    Raises:
        LookupError: nothing makes a part of this name.
    """

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in parts:
            raise LookupError(f"nothing makes the part {name!r}; known are {', '.join(sorted(parts))}")
        return f"<!-- generated: {name} -->\n\n{parts[name]().strip()}\n\n<!-- end of {name} -->"

    return _PART.sub(made, text)


def names(text: str) -> list[str]:
    """Return the names of the parts of a page."""
    return [found["name"] for found in _PART.finditer(text)]


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; a bar in a cell is escaped."""
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
