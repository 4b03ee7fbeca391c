"""The code follows the import contract of ARCHITECTURE.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
#: They cost half a second and 85 MB, so they are imported in the job that needs them, never at the top of a module.
HEAVY = {"chatterbot", "spacy"}


def test_import_contract() -> None:
    """import-linter finds no import that points up or across (contracts in pyproject.toml)."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imported_at_load(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level names of the packages that the import of this module loads."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        todo.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("package", ["edge", "tasks"])
def test_no_module_loads_a_language_model(package: str) -> None:
    """ChatterBot and spaCy are imported only in function bodies."""
    loads = {
        str(path.relative_to(REPOSITORY)): HEAVY & set(imported_at_load(ast.parse(path.read_bytes())))
        for path in sorted((REPOSITORY / package).rglob("*.py"))
    }
    assert {path: heavy for path, heavy in loads.items() if heavy} == {}


def test_the_check_for_heavy_imports_sees_them() -> None:
    """The check finds an import at the top, in a class body or in `try`, but none in a function or for types only."""
    seen = "import spacy.tokens\nclass A:\n    try:\n        from chatterbot import ChatBot\n    except E: pass\n"
    unseen = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import spacy\ndef f():\n    import chatterbot\n"
    assert set(imported_at_load(ast.parse(seen))) >= HEAVY
    assert not HEAVY & set(imported_at_load(ast.parse(unseen)))
