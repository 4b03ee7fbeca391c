"""A run leaves out figures for the right reason, and its statistics are right."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.__main__ import why_not
from tests.bench.figure import Bench, Figure
from tests.bench.figures.throughput import WAYS
from tests.bench.plan import FULL, PLANS, QUICK
from tests.bench.spread import percentile, spread_ms
from tests.bench.starts import START, Starts


def figure(*, quick_s: float | None = None, missing: str = "") -> Figure:
    """Make a figure that is never measured."""
    return Figure("x", "", lambda _: None, lambda _: [], lambda: missing, quick_s)


def bench(tmp_path: Path, *, within_s: float | None) -> Bench:
    """Make a run that has just begun."""
    return Bench(tmp_path, msgspec.structs.replace(QUICK, within_s=within_s), lambda _: None)


def test_a_machine_that_cannot_says_why_first(tmp_path: Path) -> None:
    """The machine's reason comes first, even in a run that has no time for the figure."""
    assert why_not(figure(missing="needs root"), bench(tmp_path, within_s=0.0)) == "needs root"


def test_a_quick_run_leaves_out_what_it_has_no_time_for(tmp_path: Path) -> None:
    """A quick run leaves out a figure that takes too long, and one that has no quick form."""
    assert why_not(figure(quick_s=10.0), bench(tmp_path, within_s=60.0)) == ""
    assert why_not(figure(quick_s=100.0), bench(tmp_path, within_s=60.0)).startswith("no time: takes about 100 s")
    assert why_not(figure(), bench(tmp_path, within_s=60.0)) == "not part of a quick run"


def test_a_whole_run_leaves_out_nothing(tmp_path: Path) -> None:
    """A run without a time limit measures every figure."""
    assert why_not(figure(), bench(tmp_path, within_s=None)) == ""


@pytest.mark.parametrize("plan", PLANS.values(), ids=str)
def test_each_plan_knows_each_way(plan: object) -> None:
    """Each plan has a number of jobs for each way, and the full plan has a batch of 5,000."""
    assert set(PLANS[plan.name].jobs) == set(WAYS)  # type: ignore[attr-defined]
    assert FULL.jobs["batch"] == 5000


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float) -> None:
    """A percentile is never extrapolated: the 99th of twenty values is the largest."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert percentile(values, 100) == max(values)


def test_a_spread_is_in_milliseconds() -> None:
    """`spread_ms` takes seconds and returns milliseconds."""
    assert spread_ms([0.001, 0.002, 0.003]) == {"p50_ms": 2.0, "p99_ms": 3.0, "max_ms": 3.0}


def test_starts_are_counted_and_read_from_a_number_on(tmp_path: Path) -> None:
    """A start that is not fully written is not counted."""
    starts = Starts(tmp_path / "starts")
    assert (starts.count, starts.since(0)) == (0, [])
    starts.path.write_bytes(START.pack(1_000_000_000) + START.pack(2_500_000_000) + b"\0\0")
    assert (starts.count, starts.since(1)) == (2, [2.5])
