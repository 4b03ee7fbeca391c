"""Measures how much a job makes a card write and how often it flushes, with the rig of `make flash`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from tests.bench.figure import Bench, Figure
from tests.bench.plan import FULL
from tests.powercut import flash_rows as rig
from tests.powercut import volume

_LONGEST_S = 3600.0


def missing() -> str:
    """Return why this machine cannot measure it (not root, or a program of `.ci/setup test` is missing), or empty."""
    return volume.missing()


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return a row for each way with separate file systems, then `together-WAY` rows with one file system.

    The rig runs in a separate process, because it enters a mount namespace. Its printed tables are dropped.
    """
    path = bench.folder / "flash.json"
    quick = [] if bench.plan.name == FULL.name else ["--quick"]
    argv = [sys.executable, "-m", "tests.powercut", "--flash", "--json", str(path), *quick]
    done = subprocess.run(
        argv, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=_LONGEST_S
    )
    if done.returncode:
        raise RuntimeError(f"the rig ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    figures = msgspec.json.decode(path.read_bytes(), type=rig.Figures)
    together = [msgspec.structs.replace(row, way=f"together-{row.way}") for row in figures.together]
    rows: list[dict[str, Any]] = msgspec.to_builtins([*figures.apart, *together])
    return rows


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """Make the tables that `make flash` prints."""
    rows = msgspec.convert(found, list[rig.Row])
    mark = "together-"
    return rig.tables(
        rig.Figures(
            [row for row in rows if not row.way.startswith(mark)],
            [msgspec.structs.replace(row, way=row.way.removeprefix(mark)) for row in rows if row.way.startswith(mark)],
        )
    )


FIGURE = Figure("flash", "what a card has to write", measure, tables, missing, quick_s=42.0)
