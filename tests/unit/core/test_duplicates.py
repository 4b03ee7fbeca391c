"""A name that occurs twice in one object is found at any place, and nothing else is reported."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.duplicates import duplicate

TEXT = st.text(alphabet='ab":\\\\,{}\\n\u00e9\U0001f680', max_size=5)
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_what_an_encoder_wrote_has_no_name_twice(value: object, indent: int | None, ascii_only: bool) -> None:
    """Equal names in different objects, and values that look like names, are allowed."""
    assert duplicate(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()) is None


@given(name=TEXT, first=VALUES, second=VALUES, around=st.lists(VALUES, max_size=3), ascii_only=st.booleans())
def test_a_name_given_twice_is_found(
    name: str, first: object, second: object, around: list[object], ascii_only: bool
) -> None:
    """It is found with any text before, between and after it."""
    one = json.dumps(name, ensure_ascii=ascii_only)
    twice = f"{{{one}:{json.dumps(first)},{json.dumps(name)} : {json.dumps(second)}}}"
    body = f"[{','.join([*map(json.dumps, around), twice])}]"
    assert duplicate(body.encode()) == name


@pytest.mark.parametrize("number", ["9" * 5000, "1e5", "-0.0"])
def test_numbers_are_not_read(number: str) -> None:
    """A number with more digits than Python reads is not an error here."""
    assert duplicate(f'[{{"a":{number}}},{{"a":{number}}}]'.encode()) is None
