"""The generated parts of the pages agree with the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.access.tokens import Scope
from edge.wire import About
from tests.docs.fields import rows_of_record
from tests.docs.generated import MOST_COLUMNS, current, names, table, wrapped
from tests.docs.pages import TOP, all_pages
from tests.docs.reference import PARTS

_PAGES = [page for page in all_pages() if names(page.read_text())]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_page_is_current(page: Path) -> None:
    """`make reference` changes nothing in the page."""
    text = page.read_text()
    assert current(text, PARTS) == text, "run `make reference`"


def test_each_part_stands_in_exactly_one_page() -> None:
    """Each generated part is used in one page, and in no second one."""
    found = sorted(name for page in _PAGES for name in names(page.read_text()))
    assert found == sorted(PARTS)


def test_no_page_of_the_reference_is_bulk() -> None:
    """A page with generated parts has at most 400 lines; longer references are made when the pages are built."""
    for page in _PAGES:
        assert len(page.read_text().splitlines()) <= 400, page


def test_each_member_of_a_record_has_a_meaning() -> None:
    """No field of a record lacks a meaning, which would leave a gap in a table."""
    from edge.model import Artifact, Energy, Failure, Result, Submission
    from edge.wire import Event, JobChange, JobView, ScheduleChange

    for kind in (Artifact, Energy, Event, Failure, JobChange, JobView, Result, ScheduleChange, Submission):
        assert [name for name, _, meaning in rows_of_record(kind) if not meaning] == [], kind


def test_the_page_on_events_names_what_they_are_about() -> None:
    """The handwritten table of docs/reference/events.md has a line for each `About`."""
    page = (TOP / "docs/reference/events.md").read_text()
    assert [about for about in About if f"| `{about}` |" not in page] == []


def test_the_page_on_tokens_names_each_scope() -> None:
    """The table of scopes in `docs/how-to/reach-a-board.md` has a line for each."""
    page = (TOP / "docs/how-to/reach-a-board.md").read_text()
    assert [scope for scope in Scope if f"| `{scope}` |" not in page] == []


def test_a_bar_in_a_cell_ends_no_cell() -> None:
    """`a|b` stays one cell."""
    assert table(["x"], [["a|b\nc"]]).splitlines()[2] == "| a\\|b c |"


def test_an_unknown_part_is_an_error() -> None:
    """A misspelt mark raises an error; otherwise its part would never be made."""
    with pytest.raises(LookupError, match="'nothing-such'"):
        current("<!-- generated: nothing-such -->\n<!-- end of nothing-such -->", PARTS)


def test_long_prose_of_a_generated_part_is_filled() -> None:
    """Tables, headings and code keep their lines, however long they are."""
    long, kept = (
        "word " * 30,
        ["| " + "cell " * 30 + "|", "# " + "title " * 30, "```\n" + "code " * 30 + "\n\nmore\n```"],
    )
    text = wrapped("\n\n".join([long, f"- {long}\n- short", *kept]))
    assert all(each in text for each in kept)
    lines = text.partition("| cell")[0].splitlines()
    assert max(map(len, lines)) <= MOST_COLUMNS
    assert [line for line in lines if line.startswith("- ")][1:] == ["- short"]
    assert any(line.startswith("  word") for line in lines)
