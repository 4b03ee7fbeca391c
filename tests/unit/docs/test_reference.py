"""The parts of the pages that are made from the code are those of the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.access.tokens import Scope
from edge.wire import About
from tests.docs.fields import rows_of_record
from tests.docs.generated import current, names, table
from tests.docs.pages import TOP, all_pages
from tests.docs.reference import PARTS

_PAGES = [page for page in all_pages() if names(page.read_text())]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_page_is_current(page: Path) -> None:
    """`make reference` would change nothing."""
    text = page.read_text()
    assert current(text, PARTS) == text, "run `make reference`"


def test_each_part_stands_in_exactly_one_page() -> None:
    """Nothing is made for nobody, and nothing twice."""
    found = sorted(name for page in _PAGES for name in names(page.read_text()))
    assert found == sorted(PARTS)


def test_no_page_of_the_reference_is_bulk() -> None:
    """Each has some hundred lines at most; what is longer is made when the pages are built."""
    for page in _PAGES:
        assert len(page.read_text().splitlines()) <= 400, page


def test_each_member_of_a_record_has_a_meaning() -> None:
    """A field without a comment and with a name that says nothing by itself leaves a gap in a table."""
    from edge.model import Artifact, Energy, Failure, Result, Submission
    from edge.wire import Event, JobChange, JobView, ScheduleChange

    for kind in (Artifact, Energy, Event, Failure, JobChange, JobView, Result, ScheduleChange, Submission):
        assert [name for name, _, said in rows_of_record(kind) if not said] == [], kind


def test_the_page_on_events_names_what_they_are_about() -> None:
    """The table that is written by hand has a line for each."""
    page = (TOP / "docs/reference/events.md").read_text()
    assert [about for about in About if f"| `{about}` |" not in page] == []


def test_the_page_on_tokens_names_each_scope() -> None:
    """`docs/how-to/reach-a-board.md` says what each allows."""
    page = (TOP / "docs/how-to/reach-a-board.md").read_text()
    assert [scope for scope in Scope if f"| `{scope}` |" not in page] == []


def test_a_bar_in_a_cell_ends_no_cell() -> None:
    """`a|b` is one cell."""
    assert table(["x"], [["a|b\nc"]]).splitlines()[2] == "| a\\|b c |"


def test_an_unknown_part_is_an_error() -> None:
    """A mark that is misspelt would otherwise never be made."""
    with pytest.raises(LookupError, match="'nothing-such'"):
        current("<!-- generated: nothing-such -->\n<!-- end of nothing-such -->", PARTS)
