"""The structure of bench.json is stable, and each aim finds its figure in it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench import report
from tests.bench.aims import AIMS, Aim, standings
from tests.bench.figures.throughput import WAYS, Run, rows
from tests.bench.registry import FIGURES
from tests.powercut import flash_rows

_SPREAD = {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
_PROCESS = {"wakeups_per_s": 0.0, "cpu_percent": 0.0, "written_bytes_per_min": 0, "pss_mib": 80.0}


def figures() -> dict[str, Any]:
    """Return the figures of a full run, with the records that the figures really make."""
    rounds = [Run(16, 0.1, {"worker": 0.01, "client": 0.01}, 4096)] * 3
    spent = {"results": flash_rows.Spent(2048, 1024, 2)}
    ways = ("lone", "burst", "stream", "batch", "sparse")
    return {
        "idle": dict.fromkeys(("gateway", "worker", "governor", "broker", "own"), _PROCESS),
        "throughput": rows(dict.fromkeys(WAYS, rounds)),
        "flash": [flash_rows.row(way, 2, spent) for way in (*ways, "idle", *(f"together-{way}" for way in ways))],
        "pause": {
            **dict.fromkeys(("idle_closed", "idle_opened", "full_closed", "full_last_start"), _SPREAD),
            "full_started_after": 0,
            "dips": 3,
        },
        "pages": [
            {"way": "in-turn", "pages": 20, "seconds": 20.2, "seconds_per_page": 1.01, "most_at_once": 1},
            {
                "way": "spawned-100",
                "pages": 100,
                "seconds": 2.0,
                "seconds_per_page": 0.02,
                "most_at_once": 100,
                "times_as_fast": 50.5,
            },
            {
                "way": "spawned-2100",
                "pages": 2100,
                "seconds": 14.0,
                "seconds_per_page": 0.0067,
                "most_at_once": 1000,
                "times_as_fast": 150.0,
            },
        ],
        "latency": {
            "lone": {"result": _SPREAD},
            "waiting": {"0 waiting": _SPREAD},
            "looks": {"status": _SPREAD},
        },
        "governor": _PROCESS,
        "events": {
            "readers": 10,
            "cpu_percent": 0.6,
            "cpu_percent_alone": 5.8,
            "events_per_s_each": 296.1,
            "memory_mib": 4.6,
        },
        "programs": {"body": _SPREAD, "program": _SPREAD, "more_ms": 8.4},
        "views": {
            "jobs": 100_000,
            "views": {"board": {"p95_ms": 20.0, **_SPREAD, "cpu_ms": 5.0}},
            "worst_p95_ms": 20.0,
            "first_visit_kb": 12.3,
            "first_visit_requests": 5,
            "open_page_bytes": 0,
            "memory_mib": 6.0,
        },
    }


def written(tmp_path: Path, found: dict[str, Any], left_out: dict[str, str] | None = None) -> dict[str, Any]:
    """Write bench.json, and return it as a reader decodes it."""
    path = tmp_path / "bench.json"
    report.write(path, report.document("quick", report.machine(tmp_path), found, left_out or {}, 12.34))
    tree: dict[str, Any] = json.loads(path.read_bytes())
    return tree


def test_throughput_has_a_row_for_each_way(tmp_path: Path) -> None:
    """bench.json has a row for each way, with the members on which its readers rely."""
    tree = written(tmp_path, figures())
    assert [row["way"] for row in tree["throughput"]] == [
        "batch",
        "single",
        "parallel",
        "plain",
        "plain-solo",
        "durable",
    ]
    for row in tree["throughput"]:
        assert isinstance(row["jobs"], int)
        for key in ("jobs_per_s", "cpu_ms_per_job", "ratio_to_plain", "ratio_to_durable"):
            assert isinstance(row[key], float), key
    plain = next(row for row in tree["throughput"] if row["way"] == "plain")
    durable = next(row for row in tree["throughput"] if row["way"] == "durable")
    assert plain["ratio_to_plain"] == durable["ratio_to_durable"] == 1.0


def test_the_machine_and_the_plan_stand_beside_the_figures(tmp_path: Path) -> None:
    """bench.json names the machine and the plan, so that figures of two machines are not compared."""
    tree = written(tmp_path, figures())
    assert (tree["plan"], tree["seconds"], tree["left_out"]) == ("quick", 12.3, {})
    assert tree["machine"]["cores"] >= 1
    assert tree["machine"]["file_system"] != "unknown"


def test_each_aim_finds_its_value(tmp_path: Path) -> None:
    """Each aim names an existing figure; a renamed figure would otherwise be reported as not measured forever."""
    assert {aim.path[0] for aim in AIMS} <= {figure.name for figure in FIGURES}
    assert all(one["value"] is not None for one in written(tmp_path, figures())["aims"])


def test_what_was_not_measured_is_reported(tmp_path: Path) -> None:
    """An aim that was not measured is neither reached nor open, and the reason is in the report."""
    tree = written(tmp_path, {}, {"flash": "needs root"})
    assert {(one["value"], one["met"]) for one in tree["aims"]} == {(None, None)}
    assert tree["left_out"] == {"flash": "needs root"}


def test_an_aim_is_reached_at_its_bound() -> None:
    """A value equal to the bound reaches an aim of either direction."""
    aims = [Aim("a", ("x", "y"), 2.0, True, "-"), Aim("b", ("x", "y"), 2.0, False, "-")]
    assert [one.met for one in standings({"x": {"y": 2.0}}, aims)] == [True, True]
    assert [one.met for one in standings({"x": {"y": 1.9}}, aims)] == [False, True]


def test_every_figure_prints_what_it_measured(tmp_path: Path) -> None:
    """Tables are made from the records, and for `flash`, which runs in a subprocess, from their JSON."""
    found = figures()
    assert found.keys() == {figure.name for figure in FIGURES}
    tree = written(tmp_path, found, {"other": "needs [root]"})
    console = Console(width=200, file=io.StringIO(), record=True)
    report.show(console, {**found, "flash": tree["flash"]}, FIGURES, tree)
    text = console.export_text()
    for word in ("plain-solo", "own three", "sparse", "window full", "spawned-2100", "a lone job", "needs [root]"):
        assert word in text
