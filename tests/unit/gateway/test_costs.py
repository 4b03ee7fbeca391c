"""The costs of each kind of job are learned from receipts."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.gateway.costs import KindCosts
from edge.model import Energy, JobState, Result


def ended(seconds: float = 1.0, *, peak_bytes: int | None = None, cpu_s: float = 0.5) -> Result:
    return Result("1", "nap", JobState.SUCCEEDED, energy=Energy(seconds, cpu_s, peak_bytes=peak_bytes))


def test_the_first_runs_count_alike_and_later_ones_more(tmp_path: Path) -> None:
    """The first runs have the same weight. Later, a new run has more weight than each old one."""
    costs = KindCosts(tmp_path / "costs.json")
    assert costs.of("nap") is None
    costs.learn([ended(1.0), ended(3.0)])
    cost = costs.of("nap")
    assert cost is not None
    assert (cost.seconds, cost.runs) == (2.0, 2)
    costs.learn([ended(10.0)] * 50)
    cost = costs.of("nap")
    assert cost is not None
    assert cost.seconds == pytest.approx(10.0, abs=0.01)


def test_a_result_without_a_body_teaches_nothing(tmp_path: Path) -> None:
    """A job that was cancelled before it ran has no receipt."""
    costs = KindCosts(tmp_path / "costs.json")
    costs.learn([Result("1", "nap", JobState.CANCELLED)])
    assert costs.of("nap") is None


def test_the_lowest_peak_counts_for_a_worker_tells_the_highest_of_its_life(tmp_path: Path) -> None:
    """A worker reports the highest peak of its life, so a lower report counts at once and a higher one slowly."""
    costs = KindCosts(tmp_path / "costs.json")
    costs.learn([ended(peak_bytes=500), ended(peak_bytes=100)])
    cost = costs.of("nap")
    assert cost is not None
    assert cost.peak_bytes == 100
    costs.learn([ended(peak_bytes=300)])
    cost = costs.of("nap")
    assert cost is not None
    assert cost.peak_bytes == 100 + round(200 / 3)


def test_a_body_of_no_measurable_time_keeps_a_core_busy(tmp_path: Path) -> None:
    """Without a duration the share of a core cannot be computed, so it counts as a whole core."""
    costs = KindCosts(tmp_path / "costs.json")
    costs.learn([ended(0.0)])
    cost = costs.of("nap")
    assert cost is not None
    assert cost.busy == 1.0


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_they_are_kept_over_a_restart_and_a_broken_file_is_none(tmp_path: Path, content: bytes) -> None:
    """Saved costs are read again. A broken file counts as no costs."""
    path = tmp_path / "costs.json"
    costs = KindCosts(path)
    costs.learn([ended()])
    costs.save()
    assert KindCosts(path).of("nap") == costs.of("nap")
    path.write_bytes(content)
    assert KindCosts(path).of("nap") is None
