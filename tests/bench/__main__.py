"""`make bench`: the appliance beside a plain Celery worker, in one run, as a table and as JSON.

Both use the same broker and run the same trivial job. The appliance syncs every accept and every result; the
plain worker syncs nothing, publishes without confirms to a classic queue and has a process a core.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge import __version__
from tests.bench import meters, power
from tests.bench.sides import Appliance, Plain, both

Run = Callable[[int], None]
Row = dict[str, float | int | str]
_SUBMITS = 1000
#: What a person, a page and a scraper ask for; a filter that no job passes reads the most.
_LOOKS = ("status", "metrics", "jobs", "jobs?state=queued&task=echo", "jobs?state=failed", "jobs?task=nobody")


def main() -> int:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 100, 5000], help="sizes of the runs")
    parser.add_argument("--waiting", type=int, nargs="+", default=[0, 1000, 10_000, 100_000], help="jobs in the way")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds to watch the idle appliance")
    parser.add_argument("--dips", type=int, default=200, help="times that power falls and rises; 0: only the rest")
    parser.add_argument("--only-power", action="store_true", help="leave all but the figures of power out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-bench-", dir=".") as folder:
        figures = measure(Path(folder).absolute(), options)
    report(figures, Console())
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    figures: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    say = Console(stderr=True).log
    if options.dips:
        say(f"power: {options.dips} dips at an idle worker")
        fallen, risen = power.reaction(folder / "dips", options.dips)
        figures["power"] = {"cancelled": spread(fallen), "resumed": spread(risen)}
        say("power: watching a governor with two sensors")
        figures["governor"] = power.governor(folder / "governor", seconds=options.idle)
    if options.only_power:
        return figures
    with both(folder) as (appliance, plain):
        say("idle: watching the appliance do nothing")
        time.sleep(5)  # what a start leaves to do is not idleness
        figures["idle"] = meters.idle(appliance.parts, seconds=options.idle)
        figures["throughput"] = []
        for count in options.jobs:
            for name, side, run in runs(appliance, plain):
                say(f"throughput: {count} jobs, {name}")
                figures["throughput"].append({"way": name, **throughput(count, side, run)})
        say("latency: submit beside a plain Celery worker")
        figures["submit"] = {"plain": spread(plain_latency(plain, _SUBMITS))}
    found = backlog(folder / "backlog", options.waiting, say)
    figures["submit"]["waiting"], figures["looks"] = found["waiting"], found["looks"]
    return figures


def runs(appliance: Appliance, plain: Plain) -> list[tuple[str, Appliance | Plain, Run]]:
    """The ways a number of jobs can go from submit to result file."""
    return [
        ("plain", plain, lambda count: plain.await_all(plain.send(count))),
        ("single", appliance, lambda count: appliance.await_result(appliance.singles(count))),
        ("batch", appliance, lambda count: appliance.await_result(appliance.batch(count))),
    ]


def throughput(count: int, side: Appliance | Plain, run: Run) -> Row:
    """Jobs a second from the first submit to the last result file, and what one job cost; small runs repeat."""
    repeats = 20 if count == 1 else 3 if count <= 100 else 1
    before, began = side.cost(), time.perf_counter()
    for _ in range(repeats):
        run(count)
    seconds = time.perf_counter() - began
    spent = side.cost() - before
    jobs = count * repeats
    return {
        "jobs": count,
        "jobs_per_s": round(jobs / seconds, 1),
        "cpu_ms_per_job": round(spent.cpu_s / jobs * 1000, 2),
        "written_kib_per_job": round(spent.written_bytes / jobs / 1024, 1),
    }


def plain_latency(plain: Plain, count: int) -> list[float]:
    """Seconds of each `send_task`."""
    latencies: list[float] = []
    plain.await_all(plain.send(count, latencies))
    return latencies


def backlog(folder: Path, sizes: list[int], say: Callable[[str], None]) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of a submit and of each look while so many jobs wait; the worker is stopped, so they do wait.

    Submits are timed twice where jobs were taken in for it: while the broker is still being given those, and after.
    """
    appliance = Appliance(folder)
    try:
        appliance.stop_worker()
        submits: dict[str, dict[str, float]] = {}
        waiting = 0
        for size in sizes:
            say(f"latency: submit with {size} jobs waiting")
            if size > waiting:
                appliance.batch(size - waiting)
                submits[f"{size} just in"] = spread(submit_latency(appliance))
                appliance.await_handed_over()
                waiting = size + _SUBMITS
            submits[f"{size} waiting"] = spread(submit_latency(appliance))
            waiting += _SUBMITS
        say(f"latency: looks with {waiting} jobs waiting")
        looks = {path: spread(appliance.looks(path, 100)) for path in _LOOKS}
        return {"waiting": submits, "looks": looks}
    finally:
        appliance.resume_worker()
        appliance.stop()


def submit_latency(appliance: Appliance) -> list[float]:
    """Seconds of each submit over one connection."""
    latencies: list[float] = []
    appliance.singles(_SUBMITS, latencies)
    return latencies


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and worst in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "p50_ms": round(cuts[49] * 1e3, 2),
        "p99_ms": round(cuts[98] * 1e3, 2),
        "max_ms": round(max(seconds) * 1e3, 2),
    }


def report(figures: dict[str, Any], console: Console) -> None:
    """The figures as tables; ratios are against the plain worker."""
    if "power" in figures:
        table = Table("from the source's change to", "p50 ms", "p99 ms", "max ms", title="power, idle worker")
        for name, row in figures["power"].items():
            table.add_row(f"queue {name}", *map(str, row.values()))
        console.print(table)
        table = Table(*figures["governor"], title="governor that reads two sensors every 10 s")
        table.add_row(*map(str, figures["governor"].values()))
        console.print(table)
    if "throughput" not in figures:
        return
    table = Table("jobs", "way", "jobs/s", "ratio", "CPU ms/job", "KiB written/job", title="submit to result file")
    plain = {row["jobs"]: row["jobs_per_s"] for row in figures["throughput"] if row["way"] == "plain"}
    for row in figures["throughput"]:
        ratio = f"{row['jobs_per_s'] / plain[row['jobs']]:.2f}"
        cells = (row["jobs"], row["way"], row["jobs_per_s"], ratio, row["cpu_ms_per_job"], row["written_kib_per_job"])
        table.add_row(*map(str, cells))
    console.print(table)
    table = Table("way", "p50 ms", "p99 ms", "max ms", title="one submit")
    table.add_row("plain", *map(str, figures["submit"]["plain"].values()))
    for size, row in figures["submit"]["waiting"].items():
        table.add_row(size, *map(str, row.values()))
    console.print(table)
    table = Table("GET /v1/", "p50 ms", "p99 ms", "max ms", title="one look, with all of them waiting")
    for path, row in figures["looks"].items():
        table.add_row(path, *map(str, row.values()))
    console.print(table)
    table = Table("process", "wake-ups/s", "CPU %", "bytes/min", "PSS MiB", title="idle")
    for name, row in figures["idle"].items():
        table.add_row(name, *map(str, row.values()))
    own = [row for name, row in figures["idle"].items() if name != "broker"]
    total = [round(sum(row[key] for row in own), 2) for key in own[0]]
    table.add_row("own three", *map(str, total))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
