"""Measures pages that each take a second, fetched one after another and by spawned jobs.

It is measured only if there is a kind of job `pages`, in `tasks/pages.py`. `pages(URL)` must fetch the pages that the
list page at URL links to, one after another. `pages(URL, spawn=True)` must spawn a job for each page, which a worker
with a pool of threads runs.
"""

from __future__ import annotations

import importlib.util
import time
from typing import Any

from rich.table import Table

from edge.model import Submission
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.sides.page_site import page_site
from tests.bench.waiting import wait_for

_KIND, _MODULE = "pages", "tasks.pages"
_DELAY_S = 1.0
_MOST_THREADS = 1000
_LONGEST_S = 900.0
_OPEN = ("accepted", "queued", "running", "retrying")


def missing() -> str:
    """Return why it cannot be measured, or an empty text if the module of the kind exists."""
    return "" if importlib.util.find_spec(_MODULE) else f"no kind of job {_KIND!r} yet ({_MODULE})"


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Return row `in-turn`, then `spawned-N` for each size; `times_as_fast` compares seconds a page with `in-turn`."""
    in_turn, *sizes = bench.plan.pages
    appliance = Appliance(
        bench.folder / "pages", tasks=(_MODULE,), settings={"workers": workers(min(_MOST_THREADS, max(sizes)))}
    )
    try:
        if appliance.client.task(_KIND) is None:
            raise RuntimeError(f"{_MODULE} declares no kind {_KIND!r}")
        bench.say(f"pages: {in_turn} one after another")
        rows = [{"way": "in-turn", **fetched(appliance, in_turn, spawn=False)}]
        slow_s = rows[0]["seconds_per_page"]
        for size in sizes:
            bench.say(f"pages: {size} as spawned jobs")
            row = fetched(appliance, size, spawn=True)
            rows.append({"way": f"spawned-{size}", **row, "times_as_fast": round(slow_s / row["seconds_per_page"], 1)})
        return rows
    finally:
        appliance.stop()


def workers(threads: int) -> list[dict[str, Any]]:
    """Return `workers:` of edge.yaml: the main one, and one with `threads` threads for bodies that wait."""
    return [{"name": "main"}, {"name": "io", "pool": "threads", "concurrency": threads}]


def fetched(appliance: Appliance, count: int, *, spawn: bool) -> dict[str, Any]:
    """Measure one run on a fresh site, from the submit until no job is open.

    The site's own count proves that each page was fetched, wherever the kind of job stores it.
    """
    with page_site(delay_s=_DELAY_S) as site:
        began = time.perf_counter()
        options: dict[str, Any] = {"spawn": True} if spawn else {}
        submission = Submission(_KIND, [site.list_url(count)], options)
        job = appliance.client.submit_one(submission)
        job.value(_LONGEST_S)
        wait_for(lambda: not _open_jobs(appliance), seconds=_LONGEST_S, why="the spawned jobs", every_s=0.05)
        seconds = time.perf_counter() - began
        counted = site.counted()
    if counted.pages < count:
        raise RuntimeError(f"{counted.pages} of {count} pages were fetched")
    return {
        "pages": count,
        "seconds": round(seconds, 2),
        "seconds_per_page": round(seconds / count, 4),
        "most_at_once": counted.most_at_once,
    }


def _open_jobs(appliance: Appliance) -> int:
    jobs = appliance.client.status().jobs
    return sum(jobs.get(state, 0) for state in _OPEN)


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """Make a table with a line for each way."""
    table = Table(
        "way", "pages", "s", "s a page", "at once", "times as fast", title=f"pages that take {_DELAY_S:g} s each"
    )
    for row in found:
        cells = (
            row["pages"],
            row["seconds"],
            row["seconds_per_page"],
            row["most_at_once"],
            row.get("times_as_fast", ""),
        )
        table.add_row(row["way"], *map(str, cells))
    return [table]


FIGURE = Figure("pages", "pages fetched in turn and by spawned jobs", measure, tables, missing, quick_s=22.0)
