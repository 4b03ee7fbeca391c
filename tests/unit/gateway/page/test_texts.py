"""Values in words, and text that would look like other text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from edge.core.text import when
from edge.gateway.page import texts

ODD = "\u202a\u202e\u2066\u2069\x00\x1b\x7f\x85"


@given(st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("<>&\"'`" + ODD))))
def test_no_value_becomes_markup_or_turns_text_around(value: str) -> None:
    """Whatever a job says, each filter that makes markup escapes it, and no control character is left."""
    for made in (texts.code(value), texts.doc(value), texts.exact(value)):
        bare = made
        for tag in ("<code>", "</code>", "<p>", "</p>"):
            bare = Markup(bare.replace(tag, ""))
        assert "<" not in bare
        assert ">" not in bare
    assert not set(str(texts.honest(value))) & set(ODD)
    assert not set(texts.code(value)) & set(ODD)


def test_text_for_a_field_stays_what_it_is() -> None:
    """A form sends it back."""
    assert texts.exact("a\u202e<b>") == "a\u202e&lt;b&gt;"


def test_energy() -> None:
    """In the unit a person would choose."""
    assert [texts.joules(each) for each in (0.0, 0.0021, 7.5, 9000.0)] == ["0 J", "2.1 mJ", "7.5 J", "2.5 Wh"]


def test_times_that_no_calendar_has() -> None:
    """A board without a clock may have accepted a job at any time."""
    assert when(1e300) == "1e+300"
    assert "ago" in texts.ago(1e18)
    assert texts.ago(None) == ""
