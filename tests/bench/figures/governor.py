"""Measures what a governor costs that reads two sources every ten seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import yaml
from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure
from tests.bench.waiting import wait_for

#: The `power` settings of a board with a few sensors.
SENSED: dict[str, Any] = {
    "sources": [{"kind": "disk"}, {"kind": "clock"}],
    "sampling": {"sample_s": 10.0, "slow_s": 10.0},
}
_CALM_S = 12.0  # wait this long, because the first samples come faster


def measure(bench: Bench) -> dict[str, float]:
    """Measure a governor that runs alone in a separate folder."""
    folder = bench.folder / "governor"
    folder.mkdir(parents=True)
    path, run = folder / "edge.yaml", folder / "run"
    path.write_text(yaml.safe_dump({"root": str(folder), "run": str(run), "power": SENSED}))
    process = subprocess.Popen([sys.executable, "-m", "edge.power", str(path)], stderr=subprocess.DEVNULL)
    try:
        wait_for((run / "power.json").exists, seconds=30, why="the governor")
        time.sleep(_CALM_S)
        return meters.idle({"governor": [process.pid]}, seconds=bench.plan.idle_s)["governor"]
    finally:
        process.terminate()
        process.wait(30)


def tables(found: dict[str, float]) -> list[Table]:
    """Make a table of one line."""
    table = Table(*found, title="a governor that reads two sources every 10 s")
    table.add_row(*map(str, found.values()))
    return [table]


FIGURE = Figure("governor", "a governor with two sources", measure, tables)
