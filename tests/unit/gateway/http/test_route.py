"""What a library says becomes the tail of one of our sentences."""

from __future__ import annotations

import pytest

from edge.gateway.http.route import plain


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Expected `int`, got `str`", "expected int, got str"),
        ("JSON is malformed: invalid character (byte 0)", "JSON is malformed: invalid character (byte 0)"),
        (" \n  Can not decode content-encoding: gzip", "can not decode content-encoding: gzip"),
        ("", ""),
    ],
)
def test_one_line_in_our_case(said: str, told: str) -> None:
    """No backticks, no line breaks, a small letter but for what is written in capitals."""
    assert plain(said) == told
