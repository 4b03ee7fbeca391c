"""The filters of the templates: energies, times, and text that could look like another text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from edge.core.text import when
from edge.gateway.page import texts

ODD = "\u202a\u202e\u2066\u2069\x00\x1b\x7f\x85"


@given(st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("<>&\"'`" + ODD))))
def test_no_value_becomes_markup_or_turns_text_around(value: str) -> None:
    """Each filter that returns markup escapes its text, and the texts of jobs are shown without control characters."""
    for made in (texts.code(value), texts.doc(value), texts.exact(value)):
        bare = made
        for tag in ("<code>", "</code>", "<p>", "</p>"):
            bare = Markup(bare.replace(tag, ""))
        assert "<" not in bare
        assert ">" not in bare
    assert not set(str(texts.printable(value))) & set(ODD)
    assert not set(texts.code(value)) & set(ODD)


def test_text_for_a_field_stays_what_it_is() -> None:
    """A form field keeps control characters, because the form sends its text back."""
    assert texts.exact("a\u202e<b>") == "a\u202e&lt;b&gt;"


def test_energy() -> None:
    """An energy has the unit that gives a short number."""
    assert [texts.joules(each) for each in (0.0, 0.0021, 7.5, 9000.0)] == ["0 J", "2.1 mJ", "7.5 J", "2.5 Wh"]


def test_times_that_no_calendar_has() -> None:
    """A time far outside the calendar raises nothing: a board without a clock may have recorded it."""
    assert when(1e300) == "1e+300"
    assert "ago" in texts.ago(1e18)
    assert texts.ago(None) == ""
