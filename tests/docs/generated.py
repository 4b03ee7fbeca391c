"""Replaces the generated parts of pages, from `<!-- generated: NAME -->` to `<!-- end of NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

Parts = Mapping[str, Callable[[], str]]
_PART = re.compile(r"<!-- generated: (?P<name>[\w-]+) -->\n(.*?)<!-- end of (?P=name) -->", re.DOTALL)


def current(text: str, parts: Parts) -> str:
    """Return the text of a page with each generated part made anew.

    Raises:
        LookupError: `parts` has no maker for a part of the page.
    """

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in parts:
            raise LookupError(f"no generator for the part {name!r}; known are {', '.join(sorted(parts))}")
        return f"<!-- generated: {name} -->\n\n{parts[name]().strip()}\n\n<!-- end of {name} -->"

    return _PART.sub(made, text)


def names(text: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return [found["name"] for found in _PART.finditer(text)]


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a `|` in a cell is escaped."""
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
