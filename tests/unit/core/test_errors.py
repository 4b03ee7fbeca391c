"""Internal guarantees of the program are checked even under `python -O`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import edge
from edge.core.errors import BrokenInvariant, expect_type, not_none


def test_what_is_there_is_given_back() -> None:
    """`given` returns any value except None, even one that is false."""
    assert not_none(0, "a number") == 0


def test_what_is_missing_is_named() -> None:
    """The error names the missing value in one line."""
    with pytest.raises(BrokenInvariant, match="the loop of the outbox is missing"):
        not_none(None, "the loop of the outbox")


def test_what_is_of_another_kind_is_named_with_both_kinds() -> None:
    """The error names both types in one line."""
    assert expect_type(b"x", bytes, "the body") == b"x"
    with pytest.raises(BrokenInvariant, match="the body is a str, not a bytes"):
        expect_type("x", bytes, "the body")


def test_no_invariant_is_left_to_an_assert() -> None:
    """`python -O` removes assert statements."""
    root = Path(edge.__file__).parent
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []
