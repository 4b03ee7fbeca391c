"""Words of a command line with holes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.template import Hole, filled, holes, parse


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("{a}", (Hole("a"),)),
        ("scale={w}:-1", ("scale=", Hole("w"), ":-1")),
        ("{output:out.mp4}", (Hole("out.mp4", is_output=True),)),
        ("{{a}}", ("{", "a", "}")),
        ("{a}{b}", (Hole("a"), Hole("b"))),
    ],
)
def test_a_word_is_text_and_holes(text: str, parts: tuple[object, ...]) -> None:
    """Braces make holes, and doubled braces stand for a brace."""
    assert parse(text) == parts


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a", "a}", "{a b}", "{-a}", "{a}}", "{out:x}", "{a.b}", "{$x}"])
def test_other_braces_are_refused(text: str) -> None:
    """A typing error in braces must not become an argument."""
    with pytest.raises(ValueError, match=r"[{}]"):
        parse(text)


@given(st.text())
def test_what_is_filled_in_is_never_read_again(value: str) -> None:
    """A value with braces stays as it is, in one argument."""
    assert filled(parse("a{x}b"), lambda _: value) == f"a{value}b"


@given(st.text(alphabet="{}ab:output_-", max_size=12))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """The only error is ValueError, and text without holes does not change."""
    try:
        word = parse(text)
    except ValueError:
        return
    if not holes(word):
        assert filled(word, lambda hole: hole.name) == text.replace("{{", "{").replace("}}", "}")
