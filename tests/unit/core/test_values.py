"""The untyped values at the borders of `edge`."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import edge

ROOT = Path(edge.__file__).parent
#: Lines with `Any` that are allowed in all of `edge`. It only falls.
CEILING = 60


def lines() -> Iterator[tuple[str, int, bool]]:
    """Yield each line with `Any`: file, number, and True if a comment on it or above it gives the reason."""
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        comments = {
            token.start[0]
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }
        names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and node.id == "Any"]
        for number in sorted({node.lineno for node in names}):
            yield str(path.relative_to(ROOT)), number, bool({number, number - 1} & comments)


def test_few_lines_have_no_type() -> None:
    """Celery, kombu, amqp and JSON get their types once, at the border."""
    found = [f"{name}:{number}" for name, number, _ in lines()]
    assert len(found) <= CEILING, found


def test_each_line_without_a_type_says_why() -> None:
    """A comment gives the reason."""
    found = [f"{name}:{number}" for name, number, told in lines() if not told]
    assert found == []
