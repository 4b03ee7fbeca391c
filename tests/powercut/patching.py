"""Patches a module of the product at its import, in a process of the board; the product has no code for this."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module as usual, and patches it after it is loaded."""

    def __init__(self, module: str, patch: Callable[[Any], None]) -> None:
        self._module, self._patch = module, patch

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        loader = spec.loader
        assert loader is not None
        load = loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            self._patch(module)

        loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


def patch_on_import(module: str, patch: Callable[[Any], None]) -> None:
    """Call `patch` with `module` right after its first import in this process; several patches may be registered."""
    sys.meta_path.insert(0, _Finder(module, patch))
