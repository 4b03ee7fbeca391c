"""Checks the rules for prose, docstrings and commits; `python -m tests.docs.habits` prints a table of violations."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.generated import MOST_COLUMNS, table
from tests.docs.pages import TOP, all_blocks, all_pages

MOST_SUBJECT = 72
#: The last commit before the rule for subjects was introduced.
_SINCE = "308beff"
_CLAIM = re.compile(r"\S+( \S+)+.*[.:!?]$")
_UNBREAKABLE = re.compile(r"^\s*(?:[-*>] )?\S+$")  # a link or a path, which cannot be wrapped


def long_lines() -> list[str]:
    """Return each line of prose of a page that is too long; code, tables and images are not prose."""
    found = []
    for page in all_pages():
        inside = False
        for number, line in enumerate(page.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                inside = not inside
            prose = not inside and not line.lstrip().startswith(("|", "![", "<!--")) and not _UNBREAKABLE.match(line)
            if prose and len(line) > MOST_COLUMNS:
                found.append(f"{page.relative_to(TOP)}:{number}")
    return found


def long_subjects() -> list[str]:
    """Return the subjects of commits since `_SINCE` that are too long; an empty list if there is no history."""
    done = subprocess.run(
        ["git", "log", "--format=%s", f"{_SINCE}..HEAD"], cwd=TOP, capture_output=True, text=True, check=False
    )
    return [subject for subject in done.stdout.splitlines() if len(subject) > MOST_SUBJECT]


def modules() -> Iterator[Path]:
    """Yield the modules of the product and its tests, without empty ones."""
    for folder in ("edge", "tasks", "tests", "docs", "ansible"):
        yield from (path for path in sorted((TOP / folder).rglob("*.py")) if path.read_text().strip())


def without_claim() -> list[str]:
    """Return the modules whose docstring is missing or does not begin with a full sentence."""
    found = []
    for path in modules():
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        if not _CLAIM.match(first):
            found.append(f"{path.relative_to(TOP)}: {first}")
    return found


def counts() -> dict[str, int]:
    """Return the rows of the table."""
    examples = [block for block in all_blocks() if block.language != "text"]
    return {
        f"prose lines over {MOST_COLUMNS} columns": len(long_lines()),
        f"commit subjects over {MOST_SUBJECT} characters": len(long_subjects()),
        "modules without a docstring of a full claim": len(without_claim()),
        "modules": sum(1 for _ in modules()),
        "pages": len(all_pages()),
        "examples that a test runs or checks": sum(not block.needs for block in examples),
        "examples that say what they need to be run": sum(bool(block.needs) for block in examples),
    }


def main() -> None:
    """Print the table, and each violation."""
    sys.stdout.write(table(("what", "count"), ((what, f"{count:,}") for what, count in counts().items())))
    for line in [*long_lines(), *long_subjects(), *without_claim()]:
        sys.stdout.write(f"- {line}\n")


if __name__ == "__main__":
    main()
