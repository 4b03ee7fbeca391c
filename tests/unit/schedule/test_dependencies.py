"""A graph of jobs is sorted, a cycle is found, and a job runs when its parents allow it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.schedule.arguments import results_in, with_results
from edge.schedule.dependencies import GONE, Edge, hindrance, may_run, order, still_open

GRAPHS = st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 15), max_size=4), max_size=12)
OUTCOMES = st.sampled_from(["", "succeeded", "failed", "cancelled", GONE])
EDGES = st.lists(st.builds(Edge, st.just("a"), OUTCOMES, st.booleans()), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["a", "$result", "b"]), each, max_size=2),
    max_leaves=12,
)


@given(parents=GRAPHS)
def test_each_comes_after_its_parents_or_is_behind_a_circle(parents: dict[int, list[int]]) -> None:
    """Each node is in exactly one of the two lists, once."""
    done, cycle = order(parents)
    assert sorted([*done, *cycle]) == sorted(parents)
    place = {number: at for at, number in enumerate(done)}
    for number in done:
        assert all(place[each] < place[number] for each in parents[number] if each in parents)
    for number in cycle:  # each waits for another node of this list
        assert any(each in cycle for each in parents[number])


@given(edges=EDGES)
def test_a_job_runs_waits_or_never_runs(edges: list[Edge]) -> None:
    """For any parents, exactly one of the three holds."""
    assert [may_run(edges), still_open(edges), hindrance(edges) is not None].count(True) == 1


@given(value=JSON)
def test_other_values_than_results_are_unchanged(value: object) -> None:
    """Each result is looked up by its id, at any depth, and everything else is unchanged."""
    requested = list[str]()

    def value_of(job_id: str) -> object:
        requested.append(job_id)
        return {"value of": job_id}

    replaced = with_results(value, value_of)
    assert sorted(requested) == sorted(results_in(value))
    assert (replaced == value) == (not requested)
    assert list(results_in(replaced)) == []


def test_a_long_chain_is_no_deep_recursion() -> None:
    """Ten thousand jobs, each after the one before, are sorted without recursion."""
    count = 10_000
    done, cycle = order({number: [number - 1] for number in range(count)})
    assert cycle == []
    assert all(before + 1 == after for before, after in pairwise(done))
