"""What the appliance costs while nobody asks anything of it. The peers do not run: they would share its memory."""

from __future__ import annotations

import time
from typing import Any

from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure

_OWN = ("gateway", "worker", "governor")
_CALM_S = 3.0  # what a start leaves to do is not idleness


def measure(bench: Bench) -> dict[str, dict[str, float]]:
    """Each process, and `own`: the sum of gateway, worker and governor."""
    parts = {name: pids for name, pids in bench.appliance.parts.items() if name in (*_OWN, "broker")}
    time.sleep(_CALM_S if bench.plan.idle_s > 1 else 0)
    found = meters.idle(parts, seconds=bench.plan.idle_s)
    keys = found["worker"].keys()
    return found | {"own": {key: round(sum(found[name][key] for name in _OWN), 2) for key in keys}}


def tables(found: dict[str, Any]) -> list[Table]:
    """One line a process."""
    table = Table("process", "wake-ups/s", "CPU %", "bytes/min", "PSS MiB", title="idle")
    for name, row in found.items():
        table.add_row("own three" if name == "own" else name, *map(str, row.values()))
    return [table]


FIGURE = Figure("idle", "the appliance does nothing", measure, tables, quick_s=20.0)
