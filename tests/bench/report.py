"""Writes `bench.json`, and prints the tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from edge import __version__
from tests.bench.aims import Standing, standings
from tests.bench.figure import Figure


def machine(folder: Path) -> dict[str, Any]:
    """Return the properties of the machine that a reader must know to compare figures."""
    return {
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "file_system": _file_system(folder),
    }


def document(
    plan: str, of: Mapping[str, Any], figures: Mapping[str, Any], left_out: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """Return the tree of `bench.json`: each figure under its name, the machine, and the aims."""
    tree = {
        "version": __version__,
        "plan": plan,
        "seconds": round(seconds, 1),
        "machine": of,
        **msgspec.to_builtins(figures),
        "left_out": left_out,
    }
    return {**tree, "aims": msgspec.to_builtins(standings(tree))}


def write(path: Path, tree: Mapping[str, Any]) -> None:
    """Write the tree as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tree), indent=1) + b"\n")


def show(console: Console, figures: Mapping[str, Any], registered: Sequence[Figure], tree: Mapping[str, Any]) -> None:
    """Print the tables of each figure, then the aims of the `registered` figures, then what is missing and why."""
    for figure in registered:
        if figure.name in figures:
            for table in figure.tables(figures[figure.name]):
                console.print(table)
    names = {figure.name for figure in registered}
    if shown := [one for one in msgspec.convert(tree["aims"], list[Standing]) if one.of in names]:
        console.print(_aims(shown))
    for name, reason in tree["left_out"].items():
        console.print(f"not measured: {name}: {reason}", markup=False)


def _aims(found: Sequence[Standing]) -> Table:
    table = Table("figure", "measured", "aim", "first edition", "", title="figures and their aims")
    for one in found:
        value = "-" if one.value is None else f"{one.value:g}"
        met = {None: "not measured", True: "reached", False: "not reached"}[one.met]
        table.add_row(one.figure, value, f"{'at least' if one.at_least else 'at most'} {one.bound:g}", one.first, met)
    return table


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds `folder`, or "unknown"."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if f"{folder.absolute()}/".startswith(f"{mount.rstrip('/')}/") and len(mount) >= len(best):
            best, kind = mount, found
    return kind
