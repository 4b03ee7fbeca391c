"""A body that is not JSON is refused with the reason."""

from __future__ import annotations

import pytest

from edge.gateway.http.bodies import decode
from edge.gateway.http.problems import BadRequest
from edge.model import Submission


@pytest.mark.parametrize("text", [rb"\ud800", rb"\ud800x", rb"\udc00", rb"\ud800\u0041 and more"])
def test_half_of_a_surrogate_pair_is_named(text: bytes) -> None:
    """The error says that half of a pair is the fault, also if the rest of the body is valid JSON."""
    with pytest.raises(BadRequest, match="half of a surrogate pair"):
        decode(b'{"task":"a","kwargs":{"t":"' + text + b'"}}', Submission)


@pytest.mark.parametrize("body", [b'{"task":', b"{", b"", b'{"task":"\xff"}'])
def test_other_bodies_that_are_not_json_get_that_reason(body: bytes) -> None:
    """Truncated bodies and bytes that are not UTF-8 have nothing to do with surrogates."""
    with pytest.raises(BadRequest, match="not JSON"):
        decode(body, Submission)


def test_a_whole_pair_is_a_character() -> None:
    """Both halves of a surrogate pair together decode to one character."""
    assert decode(rb'{"task":"a","kwargs":{"t":"\ud83d\ude00"}}', Submission).kwargs == {"t": "\U0001f600"}
