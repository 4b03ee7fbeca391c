"""One submit and one look, while so many jobs wait that the ledger has something to search; and a lone job's way."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from rich.table import Table

from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.spread import spread_ms

#: What a person, a page and a scraper ask for; a filter that no job passes reads the most.
_LOOKS = ("status", "metrics", "jobs", "jobs?state=queued&task=echo", "jobs?state=failed", "jobs?task=nobody")
_LOOKS_EACH = 100
_LONE = 100

Spread = dict[str, float]


def measure(bench: Bench) -> dict[str, dict[str, Spread]]:
    """`lone`: submit to result; `waiting` and `looks`: with so many jobs in the way."""
    appliance = Appliance(bench.folder / "latency")
    try:
        bench.say("latency: lone jobs")
        lone = {"result": spread_ms(lone_jobs(appliance, min(_LONE, bench.plan.submits)))}
        return {"lone": lone, **behind(appliance, bench)}
    finally:
        appliance.stop()


def behind(appliance: Appliance, bench: Bench) -> dict[str, dict[str, Spread]]:
    """Submits and looks behind each backlog of the plan; the worker is stopped, so the jobs do wait.

    Submits are timed twice where jobs were taken in for it: while the broker is still being given those, and after.
    """
    appliance.stop_workers()
    try:
        waiting: dict[str, Spread] = {}
        handed_in = 0
        for size in bench.plan.waiting:
            bench.say(f"latency: submit with {size:,} jobs waiting")
            if size > handed_in:
                appliance.batch(size - handed_in)
                waiting[f"{size} just in"] = spread_ms(submits(appliance, bench.plan.submits))
                appliance.await_handed_over()
                handed_in = size + bench.plan.submits
            waiting[f"{size} waiting"] = spread_ms(submits(appliance, bench.plan.submits))
            handed_in += bench.plan.submits
        bench.say(f"latency: looks with {handed_in:,} jobs waiting")
        return {"waiting": waiting, "looks": {path: spread_ms(looks(appliance, path)) for path in _LOOKS}}
    finally:
        appliance.resume_workers()


def submits(appliance: Appliance, count: int) -> list[float]:
    """Seconds of each submit over one connection."""
    latencies = []
    for number in range(count):
        began = time.perf_counter()
        appliance.client.submit("echo", number, "hello")
        latencies.append(time.perf_counter() - began)
    return latencies


def lone_jobs(appliance: Appliance, count: int) -> list[float]:
    """Seconds from the submit until the client has the result, one job at a time."""
    latencies = []
    for number in range(count):
        began = time.perf_counter()
        appliance.client.submit("echo", number, "hello").wait(60)
        latencies.append(time.perf_counter() - began)
    return latencies


def looks(appliance: Appliance, path: str) -> list[float]:
    """Seconds of each GET of `path` below /v1."""
    latencies = []
    with urllib3.PoolManager(retries=False) as pool:
        for _ in range(_LOOKS_EACH):
            began = time.perf_counter()
            answer = pool.request("GET", f"{appliance.url}/v1/{path}")
            latencies.append(time.perf_counter() - began)
            assert answer.status == 200, answer.data
    return latencies


def tables(found: dict[str, Any]) -> list[Table]:
    """A table of submits, one of looks."""
    spreads = ("p50 ms", "p99 ms", "max ms")
    one = Table("what", *spreads, title="one job over HTTP")
    one.add_row("a lone job, until its result is there", *map(str, found["lone"]["result"].values()))
    for size, row in found["waiting"].items():
        one.add_row(f"submit, {size}", *map(str, row.values()))
    look = Table("GET /v1/", *spreads, title="one look, with all of them waiting")
    for path, row in found["looks"].items():
        look.add_row(path, *map(str, row.values()))
    return [one, look]


FIGURE = Figure("latency", "a submit and a look behind a backlog", measure, tables)
