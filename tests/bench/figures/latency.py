"""Measures a submit and a query while many jobs wait in the ledger, and a lone job from submit to result."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from rich.table import Table

from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.spread import spread_ms

#: Queries of a person, a page and a scraper; a filter that no job matches reads the most rows.
_LOOKS = ("status", "metrics", "jobs", "jobs?state=queued&task=echo", "jobs?state=failed", "jobs?task=nobody")
_LOOKS_EACH = 100
_LONE = 100

Spread = dict[str, float]


def measure(bench: Bench) -> dict[str, dict[str, Spread]]:
    """Return `lone`, from submit to result, and `waiting` and `looks`, submits and queries behind a backlog."""
    appliance = Appliance(bench.folder / "latency")
    try:
        bench.say("latency: lone jobs")
        lone = {"result": spread_ms(lone_jobs(appliance, min(_LONE, bench.plan.submits)))}
        return {"lone": lone, **behind(appliance, bench)}
    finally:
        appliance.stop()


def behind(appliance: Appliance, bench: Bench) -> dict[str, dict[str, Spread]]:
    """Time submits and queries behind each backlog of the plan; the workers are stopped, so the jobs do wait.

    If a backlog needs further jobs, submits are timed twice: while the broker still gets those jobs, and after.
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
    """Return the seconds of each submit over one connection."""
    latencies = []
    for number in range(count):
        began = time.perf_counter()
        appliance.client.submit("echo", number, "hello")
        latencies.append(time.perf_counter() - began)
    return latencies


def lone_jobs(appliance: Appliance, count: int) -> list[float]:
    """Return for each of `count` jobs, one at a time, the seconds from the submit until the client has the result."""
    latencies = []
    for number in range(count):
        began = time.perf_counter()
        appliance.client.submit("echo", number, "hello").wait(60)
        latencies.append(time.perf_counter() - began)
    return latencies


def looks(appliance: Appliance, path: str) -> list[float]:
    """Return the seconds of each GET of `path` below /v1."""
    latencies = []
    with urllib3.PoolManager(retries=False) as pool:
        for _ in range(_LOOKS_EACH):
            began = time.perf_counter()
            answer = pool.request("GET", f"{appliance.url}/v1/{path}")
            latencies.append(time.perf_counter() - began)
            assert answer.status == 200, answer.data
    return latencies


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table of submits and one of queries."""
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
