"""Replaces the generated parts of pages, from `<!-- generated: NAME -->` to `<!-- end of NAME -->`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping

Parts = Mapping[str, Callable[[], str]]
#: Longest line of prose on a page.
MOST_COLUMNS = 100
_ITEM = re.compile(r"\n(?=- )")
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
        return f"<!-- generated: {name} -->\n\n{wrapped(parts[name]().strip())}\n\n<!-- end of {name} -->"

    return _PART.sub(made, text)


def wrapped(text: str) -> str:
    """Return Markdown with long paragraphs and items of lists filled to `MOST_COLUMNS`. Tables and code stay."""
    found, inside = list[str](), False
    for block in re.split(r"(\n{2,})", text):
        was_inside, inside = inside, inside ^ (block.count("```") % 2 == 1)
        if was_inside or inside or "```" in block or block.startswith(("|", "#", "<", "    ")):
            found.append(block)
        else:
            found.append("\n".join(map(_filled, _ITEM.split(block))))
    return "".join(found)


def _filled(paragraph: str) -> str:
    """Return a paragraph, or one item of a list, filled if it has a long line."""
    if all(len(line) <= MOST_COLUMNS for line in paragraph.splitlines()):
        return paragraph
    indent = "  " if paragraph.startswith("- ") else ""
    words = " ".join(paragraph.split())
    return textwrap.fill(words, MOST_COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


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
