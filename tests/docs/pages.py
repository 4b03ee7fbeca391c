"""Reads the pages of the documentation, their blocks of code, and the marks above the blocks.

A block of code is an example, unless its language is `text`. The line above it says what a test does with it:

- `<!-- test: NAME -->`: a test finds the block by this name. Forges do not show the mark.
- `*Needs a board:*` or `*Run this on a machine that ...:*`: no test runs it, and the reader sees why.
- Without a mark: a test checks what it can for the language of the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
_AT_TOP = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md")
_BLOCK = re.compile(
    r"(?:^(?P<indent> *)<!-- test: (?P<mark>[^>]+) -->\n+|^\*(?:Needs|Run this on) (?P<needs>[^*]+?):?\*\n+)?"
    r"^(?P<lead> *)```(?P<language>[\w.-]*)\n(?P<text>.*?)^(?P=lead)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str  # the name in `<!-- test: NAME -->`, or an empty string
    needs: str  # the words after `*Needs ` or `*Run this on `, or an empty string

    def __str__(self) -> str:
        """Return the place of the block, such as `docs/how-to/waiting.md:41`."""
        return f"{self.page.relative_to(TOP)}:{self.line}"


def all_pages() -> list[Path]:
    """Return all pages that people read, those at the top of the repository first."""
    return [*(TOP / name for name in _AT_TOP), *sorted((TOP / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in their order."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.end()) - found["text"].count("\n")
        lead = len(found["lead"])
        code = "".join(row[lead:] if row[:lead].isspace() else row for row in found["text"].splitlines(keepends=True))
        yield Block(page, line, found["language"], code, found["mark"] or "", found["needs"] or "")


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in all_pages() for block in blocks(page)]


def marked(page: str, mark: str) -> list[str]:
    """Return the code of each block of `page`, a path below the top, under `<!-- test: MARK -->`."""
    return [block.text for block in blocks(TOP / page) if block.mark == mark]
