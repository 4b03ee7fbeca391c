"""The filters of the job list: reading them from an address, and the searches that they make."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gateway.http.problems import BadRequest
from edge.gateway.page.filters import NAMES, STATES, Filters
from edge.model import JobState

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.fixed_dictionaries(
        {}, optional={"state": st.sampled_from(STATES), "kind": TEXT, "submitter": TEXT, "text": TEXT}
    )
)
def test_an_address_says_what_its_filters_say(query: dict[str, str]) -> None:
    """Filters that are written into an address and read again are the same."""
    filters = Filters.of(query)
    assert Filters.of(dict(parse_qsl(filters.query))) == filters


@given(st.dictionaries(st.sampled_from(NAMES), TEXT))
def test_any_query_is_filters_or_a_sentence(query: dict[str, str]) -> None:
    """Bad input raises BadRequest and nothing else."""
    with suppress(BadRequest):
        Filters.of(query).wanted(None)


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_is_the_boards_own(name: str) -> None:
    """A time is accepted as the field of a browser writes it, or as a date alone."""
    for text in ("2026-11-28T14:30", "2026-11-28"):
        assert getattr(Filters.of({name: text}).wanted(None), name) > 1.7e9
    with pytest.raises(BadRequest, match=f"{name} 'tomorrow': expected a time"):
        Filters.of({name: "tomorrow"})


def test_who_may_see_only_their_own_cannot_ask_for_others() -> None:
    """For a caller who sees only their own jobs, the submitter in the address is ignored."""
    assert Filters.of({"submitter": "root"}).wanted("anna").submitter == "anna"
    assert Filters.of({"submitter": "root"}).wanted(None).submitter == "root"


@pytest.mark.parametrize(
    ("state", "ended", "expected"),
    [
        ("", False, "open"),
        ("", True, "ended"),
        ("open", True, None),
        ("ended", True, "ended"),
        (JobState.FAILED, True, "failed"),
        (JobState.FAILED, False, None),
        (JobState.RUNNING, False, "running"),
        (JobState.RUNNING, True, None),
    ],
)
def test_an_action_is_for_open_jobs_or_for_ended_ones(state: str, ended: bool, expected: str | None) -> None:
    """A filter that no such job can match gives None."""
    narrowed = Filters(state=state).narrowed(ended=ended)
    assert (narrowed.state if narrowed else None) == expected
