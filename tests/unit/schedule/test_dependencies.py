"""A graph is taken in order, a circle is found, and a job runs when all before it let it."""

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
    """Nothing is lost, and nothing stands twice."""
    done, circle = order(parents)
    assert sorted([*done, *circle]) == sorted(parents)
    place = {number: at for at, number in enumerate(done)}
    for number in done:
        assert all(place[each] < place[number] for each in parents[number] if each in parents)
    for number in circle:  # each of them waits for another one of them
        assert any(each in circle for each in parents[number])


@given(edges=EDGES)
def test_a_job_runs_waits_or_never_runs(edges: list[Edge]) -> None:
    """Exactly one of the three."""
    assert [may_run(edges), still_open(edges), hindrance(edges) is not None].count(True) == 1


@given(value=JSON)
def test_what_is_no_result_stays_as_it_is(value: object) -> None:
    """And each result is asked for by its id, at any depth."""
    asked = list[str]()

    def given_(job_id: str) -> object:
        asked.append(job_id)
        return {"value of": job_id}

    replaced = with_results(value, given_)
    assert sorted(asked) == sorted(results_in(value))
    assert (replaced == value) == (not asked)
    assert list(results_in(replaced)) == []


def test_a_long_chain_is_no_deep_recursion() -> None:
    """Ten thousand lines, each after the one before."""
    count = 10_000
    done, circle = order({number: [number - 1] for number in range(count)})
    assert circle == []
    assert all(before + 1 == after for before, after in pairwise(done))
