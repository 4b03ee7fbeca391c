"""Measures the page with a full ledger: the time of each view, the size of a first visit, the cost of an open page."""

from __future__ import annotations

import re
import time
from typing import Any

import urllib3
from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.spread import percentile, spread_ms

#: Views that a person opens; a text or a submitter that no job has reads the most rows.
_VIEWS = {
    "board": "/",
    "jobs": "/jobs",
    "jobs of a state": "/jobs?state=queued",
    "jobs of a kind and state": "/jobs?kind=echo&state=failed",
    "jobs of nobody": "/jobs?submitter=nobody",
    "jobs with a text": "/jobs?text=nowhere",
    "jobs before a time": "/jobs?until=2001-01-01",
    "far back": "/jobs?before=50",
    "all of a filter": "/jobs/all?do=cancel&text=hello",
    "submit": "/submit",
    "form": "/submit/echo",
    "kinds": "/kinds",
}
_EACH = 40
_GZIP = {"Accept-Encoding": "gzip", "Accept": "text/html"}


def measure(bench: Bench) -> dict[str, Any]:
    """Return times in ms, kilobytes, requests, bytes to the disk and MiB of memory."""
    appliance = Appliance(bench.folder / "views")
    try:
        (gateway,) = appliance.parts["gateway"]
        appliance.stop_workers()
        size = max(bench.plan.waiting[-1], 100)
        bench.say(f"views: {size:,} jobs wait")
        appliance.batch(size)
        appliance.await_handed_over()
        pool = urllib3.PoolManager(retries=False)
        before = meters.pss_bytes(gateway)
        views = {name: _spread(pool, appliance.url + path, gateway) for name, path in _VIEWS.items()}
        job = next(iter(appliance.client.list(limit=1)))
        views["one job"] = _spread(pool, f"{appliance.url}/jobs/{job.id}", gateway)
        after = meters.pss_bytes(gateway)
        requests, kilobytes = _first_visit(pool, appliance.url)
        stream = pool.request("GET", f"{appliance.url}/events", preload_content=False)
        cost = meters.cost(gateway)
        time.sleep(bench.plan.idle_s)
        open_page = meters.cost(gateway) - cost
        stream.close()
        appliance.resume_workers()
        return {
            "jobs": size,
            "views": views,
            "worst_p95_ms": max(row["p95_ms"] for row in views.values()),
            "first_visit_kb": round(kilobytes, 1),
            "first_visit_requests": requests,
            "open_page_bytes": open_page.written_bytes,
            "memory_mib": round((after - before) / (1 << 20), 1),
        }
    finally:
        appliance.stop()


def _spread(pool: urllib3.PoolManager, url: str, gateway: int) -> dict[str, float]:
    taken, cost = [], meters.cost(gateway)
    for _ in range(_EACH):
        began = time.perf_counter()
        answer = pool.request("GET", url, headers=_GZIP, decode_content=False)
        taken.append(time.perf_counter() - began)
        assert answer.status == 200, (url, answer.data)
    cpu_s = (meters.cost(gateway) - cost).cpu_s / _EACH
    return {"p95_ms": round(percentile(taken, 95) * 1e3, 2), **spread_ms(taken), "cpu_ms": round(cpu_s * 1e3, 1)}


def _first_visit(pool: urllib3.PoolManager, url: str) -> tuple[int, float]:
    """Return the requests of a first visit, with the stream of events, and the kilobytes of compressed answers."""
    page = pool.request("GET", f"{url}/", headers=_GZIP)
    paths = ["/", *re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.data.decode())]
    total = 0
    for path in paths:
        answer = pool.request("GET", url + path, headers=_GZIP, decode_content=False)
        total += len(answer.data) + sum(len(name) + len(value) + 4 for name, value in answer.headers.items())
    return len(paths) + 1, total / 1000


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table of views and one of the other figures."""
    views = Table(
        "view", "p95 ms", "p50 ms", "p99 ms", "max ms", "CPU ms", title=f"the page, {found['jobs']:,} jobs waiting"
    )
    for name, row in found["views"].items():
        views.add_row(name, *map(str, row.values()))
    rest = Table(
        "first visit, kB", "requests", "bytes written by an open page", "memory of all views, MiB", title="page"
    )
    rest.add_row(
        *(str(found[key]) for key in ("first_visit_kb", "first_visit_requests", "open_page_bytes", "memory_mib"))
    )
    return [views, rest]


FIGURE = Figure("views", "the page behind a full ledger", measure, tables)
