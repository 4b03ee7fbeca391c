"""Filters in the address."""

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
    """Read, written and read again they are the same."""
    filters = Filters.of(query)
    assert Filters.of(dict(parse_qsl(filters.query))) == filters


@given(st.dictionaries(st.sampled_from(NAMES), TEXT))
def test_any_query_is_filters_or_a_sentence(query: dict[str, str]) -> None:
    """Bad input is told, and nothing else happens."""
    with suppress(BadRequest):
        Filters.of(query).wanted(None)


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_is_the_boards_own(name: str) -> None:
    """As a browser's field writes it, or a day alone."""
    for text in ("2026-11-28T14:30", "2026-11-28"):
        assert getattr(Filters.of({name: text}).wanted(None), name) > 1.7e9
    with pytest.raises(BadRequest, match=f"{name} 'tomorrow': expected a time"):
        Filters.of({name: "tomorrow"})


def test_who_may_see_only_their_own_cannot_ask_for_others() -> None:
    """The submitter of the address does not count then."""
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
    """Where the filter leaves none of them, there is nothing to act on."""
    narrowed = Filters(state=state).narrowed(ended=ended)
    assert (narrowed.state if narrowed else None) == expected
