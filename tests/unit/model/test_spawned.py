"""The ids of spawned jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.model import SpawnedJob, is_job_id, spawned_job_id

PARENT = "3fa1c2d4-0000-8000-8000-000000000000"
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)


@given(IDS, st.integers(1, 100_000))
def test_an_id_comes_from_parent_and_call(parent: str, call: int) -> None:
    """The id is the same each time, differs for other parents and calls, and can name files."""
    made = spawned_job_id(parent, call=call)
    assert made == spawned_job_id(parent, call=call)
    assert is_job_id(made)
    assert made not in {spawned_job_id(f"{parent}x", call=call), spawned_job_id(parent, call=call + 1)}


@given(IDS, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_an_id_comes_from_parent_and_key(parent: str, one: str, other: str) -> None:
    """Two keys make two jobs, and a key is not mistaken for the number of a call."""
    assert (spawned_job_id(parent, key=one) == spawned_job_id(parent, key=other)) is (one == other)
    assert spawned_job_id(parent, key="1") != spawned_job_id(parent, call=1)


def test_a_family_lies_in_one_folder_of_results() -> None:
    """Results in one folder are committed together with one sync, as far as the folder has room."""
    assert {spawned_job_id(PARENT, call=call)[:2] for call in range(1, 4096)} == {"3f"}
    assert spawned_job_id(PARENT, call=4096)[:2] == "40"
    assert spawned_job_id(PARENT, key="a")[:2] == "3f"
    assert is_job_id(spawned_job_id("x-no-digits", key="a"))


def test_defaults_of_a_kind_make_no_other_job() -> None:
    """A new power class of the kind between two attempts is not a conflict. Other arguments are one."""
    one = SpawnedJob("echo", ["a"], call=1)
    assert one.fingerprint == SpawnedJob("echo", ["a"], retries=3, call=1).fingerprint
    assert one.fingerprint != SpawnedJob("echo", ["b"], call=1).fingerprint
