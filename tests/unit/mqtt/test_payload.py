"""Values in received messages are found, or refused with a reason of one line."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.values import JsonValue
from edge.mqtt.payload import PATH, BadPayload, number, switch, value

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("payload", "path", "found"),
    [
        (b" 12.5\n", "", 12.5),
        (b'{"ENERGY": {"Power": 123}}', "ENERGY.Power", 123.0),
        (b'{"cells": [{"v": "3.7"}]}', "cells.0.v", 3.7),
        (b"[1, 2]", "1", 2.0),
        (b"-3e2", "", -300.0),
    ],
)
def test_a_number_is_found(payload: bytes, path: str, found: float) -> None:
    """A number is found as plain text, in a member, in a list, or as text within JSON."""
    assert number(value(payload, path)) == found


@pytest.mark.parametrize("payload", [b"", b"nan", b"inf", b"0x10", b"1_000", b"12 W", b"true", b"1e999", b"\xff"])
def test_what_is_no_number_is_refused(payload: bytes) -> None:
    """A payload that is not a plain decimal number is refused, even if Python would read it as a number."""
    with pytest.raises(BadPayload):
        number(value(payload, ""))


@pytest.mark.parametrize(
    ("payload", "on"), [(b"ON", True), (b"off", False), (b"1", True), (b"0", False), (b"True", True), (b"no", False)]
)
def test_a_switch_says_on_or_off(payload: bytes, on: bool) -> None:
    """The usual words for on and off are understood, in upper and lower case."""
    assert switch(value(payload, "")) is on


@given(payload=st.binary() | _JSON.map(lambda each: json.dumps(each).encode()), path=st.from_regex(PATH) | st.just(""))
def test_any_message_gives_a_value_or_one_line(payload: bytes, path: str) -> None:
    """Any message gives a value or a reason of one short line, and raises no other exception."""
    for read in (number, switch):
        why = _refusal(read, payload, path.strip())
        assert len(why) < 400
        assert not re.search(r"[\r\n]", why)


def _refusal(read: Callable[[JsonValue], object], payload: bytes, path: str) -> str:
    """Return why there is no value, or an empty text if there is one."""
    try:
        read(value(payload, path))
    except BadPayload as err:
        return str(err)
    return ""


@given(found=_JSON)
def test_numbers_are_finite(found: JsonValue) -> None:
    """A number is always finite, whatever the JSON contains."""
    with contextlib.suppress(BadPayload):
        assert abs(number(found)) < float("inf")
