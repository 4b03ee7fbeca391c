"""Measures the idle appliance. The compared workers do not run, because they would share its memory pages."""

from __future__ import annotations

import time
from typing import Any

from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure

_OWN = ("gateway", "worker", "governor")
_CALM_S = 3.0  # wait this long, so that late work of the start does not count


def measure(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the figures of each part, and as `own` the sum of gateway, worker and governor."""
    parts = {name: pids for name, pids in bench.appliance.parts.items() if name in (*_OWN, "broker")}
    time.sleep(_CALM_S if bench.plan.idle_s > 1 else 0)
    found = meters.idle(parts, seconds=bench.plan.idle_s)
    keys = found["worker"].keys()
    return found | {"own": {key: round(sum(found[name][key] for name in _OWN), 2) for key in keys}}


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table with a line for each part."""
    table = Table("process", "wake-ups/s", "CPU %", "bytes/min", "PSS MiB", title="idle")
    for name, row in found.items():
        table.add_row("own three" if name == "own" else name, *map(str, row.values()))
    return [table]


FIGURE = Figure("idle", "the appliance does nothing", measure, tables, quick_s=20.0)
