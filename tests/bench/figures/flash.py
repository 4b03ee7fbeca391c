"""What a job makes a card write, and how often it flushes, as the rig of `make flash` counts it."""

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
    """Why this machine cannot measure it: no root, or a program that `.ci/setup test` brings."""
    return volume.missing()


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Rows by way: apart, then `together-WAY` where all was on one file system.

    A process of its own, because it enters a mount namespace. It prints its tables; ours come at the end.
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
    """As `make flash` prints them."""
    rows = msgspec.convert(found, list[rig.Row])
    mark = "together-"
    return rig.tables(
        rig.Figures(
            [row for row in rows if not row.way.startswith(mark)],
            [msgspec.structs.replace(row, way=row.way.removeprefix(mark)) for row in rows if row.way.startswith(mark)],
        )
    )


FIGURE = Figure("flash", "what a card has to write", measure, tables, missing, quick_s=42.0)
