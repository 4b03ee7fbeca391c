"""Rounds become rows of medians, ratios are taken within a round, and the size of a round is planned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures.throughput import WAYS, Run, Way, even, in_turn, planned, rows


def run(jobs_per_s: float, cpu_ms: float = 1.0, jobs: int = 100) -> Run:
    """Make a round with these rates; the client uses the same CPU time as the board."""
    spent = cpu_ms * jobs / 1e3
    return Run(jobs, jobs / jobs_per_s, {"worker": spent / 2, "broker": spent / 2, "client": spent}, 1024 * jobs)


def test_a_ratio_is_taken_inside_its_round() -> None:
    """If the machine is half as fast in the second and third round, the rates fall and the ratios do not."""
    found = rows(
        {
            "batch": [run(1200), run(600), run(600)],
            "plain": [run(1000), run(500), run(500)],
            "durable": [run(400), run(200), run(200)],
        }
    )
    batch = found[0]
    assert batch.jobs_per_s == 600
    assert (batch.ratio_to_plain, batch.ratio_to_plain_least, batch.ratio_to_plain_most) == (1.2, 1.2, 1.2)
    assert batch.ratio_to_durable == 3


def test_the_client_is_no_part_of_the_boards_cpu() -> None:
    """The client's CPU time is listed with the parts, but does not count for the board."""
    batch = rows({"batch": [run(100, cpu_ms=3.0)], "plain": [run(100, cpu_ms=2.0)], "durable": [run(100)]})[0]
    assert batch.cpu_ms_per_job == pytest.approx(3.0)
    assert batch.cpu_ms_by_part == {"worker": 1.5, "broker": 1.5, "client": 3.0}
    assert batch.cpu_ratio_to_plain == pytest.approx(1.5)


def test_a_part_that_came_later_costs_nothing_before() -> None:
    """A part that starts between two rounds counts as 0 in the earlier rounds."""
    late = Run(100, 1.0, {"worker": 0.1, "other": 0.2}, 0)
    early = Run(100, 1.0, {"worker": 0.1}, 0)
    assert rows({"batch": [early, late, late], "plain": [run(1)] * 3, "durable": [run(1)] * 3})[0].cpu_ms_by_part == {
        "worker": 1.0,
        "other": 2.0,
    }


@given(st.sampled_from(WAYS), st.integers(1, 10_000), st.floats(0.1, 5000), st.floats(0.1, 10))
def test_a_round_holds_what_the_submitters_can_share(way: str, most: int, jobs_per_s: float, round_s: float) -> None:
    """A round has a multiple of eight jobs for eight submitters, at most the planned number, and at least one."""
    count = planned(way, most, jobs_per_s, round_s)
    assert count >= 1
    assert count <= max(most, 8)
    assert way != "parallel" or count % 8 == 0


def test_a_whole_run_holds_what_the_plan_says() -> None:
    """Without a time for a round, its size is that of the plan, however slow the warm-up was."""
    assert planned("batch", 5000, 10.0, None) == 5000
    assert planned("batch", 5000, 1000.0, 2.0) == 2000
    assert even("parallel", 3) == 8


def test_rounds_go_there_and_back() -> None:
    """The order of ways alternates, so that a machine that slows down steadily favours no way."""
    ways = [Way(name, lambda _: None, dict) for name in "abc"]
    assert [way.name for number in range(3) for way in in_turn(ways, number)] == list("abccbaabc")
