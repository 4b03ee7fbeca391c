"""Measures how much more a program costs than a Python body; jobs of both run one at a time."""

from __future__ import annotations

import time
from typing import Any

from rich.table import Table

from edge.worker.command.sandbox import bubblewrap
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.spread import spread_ms

_JOBS = 100

Spread = dict[str, float]


def measure(bench: Bench) -> dict[str, Any]:
    """Return `body` and `program`, from submit to result, and `more_ms`, the difference of their medians."""
    appliance = Appliance(bench.folder / "programs", settings={"commands": [{"name": "true", "run": ["true"]}]})
    try:
        count = min(_JOBS, bench.plan.submits)
        bench.say(f"programs: {count} jobs of each kind")
        found: dict[str, Any] = {
            "body": spread_ms(_seconds(appliance, count, "echo", 1, "hello")),
            "program": spread_ms(_seconds(appliance, count, "true")),
        }
        return {**found, "more_ms": round(found["program"]["p50_ms"] - found["body"]["p50_ms"], 2)}
    finally:
        appliance.stop()


def _seconds(appliance: Appliance, count: int, kind: str, *args: object) -> list[float]:
    """Return for each of `count` jobs, one at a time, the seconds from the submit until the client has the result."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        appliance.client.submit(kind, *args).wait(60)
        taken.append(time.perf_counter() - began)
    return taken


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table with a row for each kind."""
    table = Table("a lone job", "p50 ms", "p99 ms", "max ms", title="a program in its sandbox and a Python body")
    for kind in ("body", "program"):
        table.add_row(kind, *map(str, found[kind].values()))
    return [table]


def _missing() -> str:
    return "" if bubblewrap() is not None else "bubblewrap is not installed"


FIGURE = Figure("programs", "what a program costs above a body", measure, tables, missing=_missing)
