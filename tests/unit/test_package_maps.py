"""The docstring of each package names its modules, as ARCHITECTURE.md promises."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import edge

_ROOT = Path(edge.__file__).parent
_PACKAGES = sorted(path.parent for path in _ROOT.rglob("__init__.py") if path.parent != _ROOT)


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_the_docstring_of_a_package_names_each_module_once(package: Path) -> None:
    """A package lists each module and subpackage in a line "- `name`: ...", and no other name."""
    doc = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    named = re.findall(r"^- `(\w+)`: ", doc, re.MULTILINE)
    modules = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert sorted(named) == sorted(modules | packages)
