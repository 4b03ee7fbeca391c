"""Finds the record class of a kind of power source by its name.

Of the modules of the built-in kinds, only the module of the requested kind is imported.

A kind is looked up in this order:

1. the module `edge.power.sources.KIND`, for the built-in kinds;
2. the entry point KIND of the group `edge.sources`, for kinds of installed packages;
3. the modules that `power.source_modules` names, for the owner's own kinds, next to `edge.yaml` or installed.

`edge.config` lies below `edge.power` and therefore knows the modules of `edge.power` by name only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module, util
from pathlib import Path
from types import ModuleType

from edge.config.source import SourceConfig
from edge.core.errors import ConfigError

PACKAGE = "edge.power.sources"
GROUP = "edge.sources"
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")


class UnknownKind(LookupError):
    """No module, package or entry point declares this kind. `allowed` lists the kinds that exist."""

    def __init__(self, kind: object, allowed: Sequence[str]) -> None:
        self.kind, self.allowed = kind, tuple(allowed)
        super().__init__(f"no source of kind {kind!r}")


class Kinds:
    """Finds the kinds of power source that one configuration file may use."""

    def __init__(self, modules: Sequence[str] = (), folder: Path | None = None) -> None:
        """Take the names in `power.source_modules`, and the folder of the configuration file."""
        self._modules, self._folder = tuple(modules), folder

    def record(self, kind: object) -> type[SourceConfig]:
        """Return the record class of `kind`.

        Raises:
            UnknownKind: no module or package declares it.
            ConfigError: a module of `power.source_modules` cannot be imported, or the entry point of this kind cannot
                be used.
        """
        if isinstance(kind, str) and _KIND.fullmatch(kind):
            if kind in built_in_kinds():
                return _declared(import_module(f"{PACKAGE}.{kind}"), kind)
            if found := _from_entry_point(kind):
                return found
            for module in self._owner_modules():
                if record := _records(module).get(kind):
                    return record
        raise UnknownKind(kind, self.names())

    def names(self) -> list[str]:
        """Return the names of all kinds, sorted.

        Raises:
            ConfigError: a module of `power.source_modules` cannot be imported.
        """
        others = [kind for module in self._owner_modules() for kind in _records(module)]
        return sorted({*built_in_kinds(), *_entry_points(), *others})

    def _owner_modules(self) -> Iterator[ModuleType]:
        for number, name in enumerate(self._modules):
            if self._folder is not None and str(self._folder) not in sys.path:
                sys.path.append(str(self._folder))
            try:
                yield import_module(name)
            except (Exception, SystemExit) as err:  # a person's code may raise anything
                why = f"cannot be imported: {type(err).__name__}: {err}"
                raise ConfigError(f"power.source_modules[{number}]", name, " ".join(why.split())) from err


def built_in_kinds() -> list[str]:
    """Return the built-in kinds, one for each module of `edge.power.sources`. None of these modules is imported."""
    package = util.find_spec(PACKAGE)
    folders = (package.submodule_search_locations if package else None) or []
    files = [file for folder in folders for file in Path(folder).glob("*.py")]
    return sorted(file.stem for file in files if _KIND.fullmatch(file.stem))


def _declared(module: ModuleType, kind: str) -> type[SourceConfig]:
    record = _records(module).get(kind)
    if record is None:
        raise LookupError(f"{module.__name__} declares no source of kind {kind!r}")
    return record


def _records(module: ModuleType) -> dict[str, type[SourceConfig]]:
    """Return the record classes that `module` itself declares, by kind. Classes that it imports are not included."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, SourceConfig) and value.__module__ == module.__name__
    ]
    return {str(record.__struct_config__.tag): record for record in found}


def _entry_points() -> list[str]:
    # Imported here because the import is slow, and the call reads every installed package. Built-in kinds do not need
    # either.
    from importlib.metadata import entry_points

    return sorted(entry_points(group=GROUP).names)


def _from_entry_point(kind: str) -> type[SourceConfig] | None:
    """Return the record class that an installed package declares for `kind`, or None if no package does.

    The entry point names the class, or the module that holds it.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=kind):
        try:
            loaded = point.load()
            record = _declared(loaded, kind) if isinstance(loaded, ModuleType) else loaded
            if not (isinstance(record, type) and issubclass(record, SourceConfig)):
                raise TypeError(f"{point.value} is not a SourceConfig")
            if record.__struct_config__.tag != kind:
                raise TypeError(f"{point.value} is of kind {record.__struct_config__.tag!r}")
        except (Exception, SystemExit) as err:  # the code of another package may raise anything
            package = f" of {point.dist.name}" if point.dist else ""
            why = f"the entry point {point.value}{package} cannot be used: {type(err).__name__}: {err}"
            raise ConfigError("kind", kind, " ".join(why.split())) from err
        return record
    return None
