"""Holds the aims of the figures as data. A report shows each aim next to its figure; a missed aim fails nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Aim(msgspec.Struct, frozen=True):
    """One aim.

    Attributes:
        figure: Its name in the table.
        path: Where the value is in `bench.json`: keys of objects; in a list, the `way` of a row.
        bound: The value to reach.
        at_least: True if the value must be at least `bound`, False if at most.
        first: The figure of the first edition, for comparison.
    """

    figure: str
    path: tuple[str, ...]
    bound: float
    at_least: bool
    first: str


class Standing(msgspec.Struct, frozen=True):
    """An aim with its measured value; `value` and `met` are None if not measured, `of` is a key of bench.json."""

    figure: str
    of: str
    value: float | None
    bound: float
    at_least: bool
    first: str
    met: bool | None


AIMS = (
    Aim("batch: jobs/s to plain", ("throughput", "batch", "ratio_to_plain"), 1.2, True, "0.25"),
    Aim("batch: jobs/s to durable", ("throughput", "batch", "ratio_to_durable"), 2.0, True, "0.4"),
    Aim("batch: CPU a job to plain", ("throughput", "batch", "cpu_ratio_to_plain"), 1.4, False, "2.9"),
    Aim("one by one: jobs/s to plain", ("throughput", "single", "ratio_to_plain"), 0.4, True, "0.15"),
    Aim("one by one: CPU a job to plain", ("throughput", "single", "cpu_ratio_to_plain"), 2.0, False, "5.4"),
    Aim("8 submitters: jobs/s to plain", ("throughput", "parallel", "ratio_to_plain"), 0.6, True, "-"),
    Aim("8 submitters: jobs/s to plain, then", ("throughput", "parallel", "ratio_to_plain"), 0.9, True, "-"),
    Aim("flash a job, batch, KiB", ("flash", "batch", "kib_per_job"), 30.0, False, "84"),
    Aim("flash a job, stream, KiB", ("flash", "stream", "kib_per_job"), 40.0, False, "100"),
    Aim("flash a job, lone, KiB", ("flash", "lone", "kib_per_job"), 90.0, False, "112"),
    Aim("flash on one file system, batch, KiB", ("flash", "together-batch", "kib_per_job"), 30.0, False, "99"),
    Aim("flash on one file system, stream, KiB", ("flash", "together-stream", "kib_per_job"), 40.0, False, "114"),
    Aim("flash on one file system, lone, KiB", ("flash", "together-lone", "kib_per_job"), 90.0, False, "127"),
    Aim("flash on one file system, sparse, KiB", ("flash", "together-sparse", "kib_per_job"), 90.0, False, "195"),
    Aim("idle: wake-ups/s of our three", ("idle", "own", "wakeups_per_s"), 0.0, False, "0"),
    Aim("idle: PSS of our three, MiB", ("idle", "own", "pss_mib"), 84.0, False, "84"),
    Aim("pause, window full, p99 ms", ("pause", "full_closed", "p99_ms"), 50.0, False, "42"),
    Aim("pause: bodies begun after it", ("pause", "full_started_after"), 0.0, False, "0"),
    Aim("a program above a body, ms", ("programs", "more_ms"), 15.0, False, "-"),
    Aim("10 readers of events: CPU % of a core", ("events", "cpu_percent"), 2.0, False, "-"),
    Aim("10 readers of events: memory MiB", ("events", "memory_mib"), 10.0, False, "-"),
    Aim("page: slowest view, p95 ms", ("views", "worst_p95_ms"), 300.0, False, "-"),
    Aim("page: first visit, kB", ("views", "first_visit_kb"), 45.0, False, "-"),
    Aim("page: first visit, requests", ("views", "first_visit_requests"), 6.0, False, "-"),
    Aim("page: bytes written while open", ("views", "open_page_bytes"), 0.0, False, "-"),
    Aim("100 pages: times as fast a page", ("pages", "spawned-100", "times_as_fast"), 50.0, True, "50"),
    Aim("2,100 pages, s", ("pages", "spawned-2100", "seconds"), 15.0, False, "120"),
)


def standings(figures: Mapping[str, Any], aims: Iterable[Aim] = AIMS) -> list[Standing]:
    """Return each aim with its value in `figures`, the tree of `bench.json`."""
    return [_standing(aim, _value(figures, aim.path)) for aim in aims]


def _standing(aim: Aim, value: float | None) -> Standing:
    met = None if value is None else (value >= aim.bound if aim.at_least else value <= aim.bound)
    return Standing(aim.figure, aim.path[0], value, aim.bound, aim.at_least, aim.first, met)


def _value(figures: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = figures
    for key in path:
        if isinstance(found, list):
            found = next((row for row in found if row.get("way") == key), None)
        else:
            found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)
