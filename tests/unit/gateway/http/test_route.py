"""The message of a library becomes the end of one of our sentences."""

from __future__ import annotations

import pytest

from edge.gateway.http.route import plain


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected `int`, got `str`", "expected int, got str"),
        ("JSON is malformed: invalid character (byte 0)", "JSON is malformed: invalid character (byte 0)"),
        (" \n  Can not decode content-encoding: gzip", "can not decode content-encoding: gzip"),
        ("", ""),
    ],
)
def test_a_message_of_a_library_becomes_one_plain_line(message: str, expected: str) -> None:
    """It has no backticks and no line breaks. It begins with a small letter, except for words in capitals."""
    assert plain(message) == expected
