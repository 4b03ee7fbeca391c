"""Bodies of requests that are no JSON, in words that say why."""

from __future__ import annotations

import pytest

from edge.gateway.http.bodies import decode
from edge.gateway.http.problems import BadRequest
from edge.model import Submission


@pytest.mark.parametrize("text", [rb"\ud800", rb"\ud800x", rb"\udc00", rb"\ud800\u0041 and more"])
def test_half_of_a_surrogate_pair_is_named(text: bytes) -> None:
    with pytest.raises(BadRequest, match="half of a surrogate pair"):
        decode(b'{"task":"a","kwargs":{"t":"' + text + b'"}}', Submission)


@pytest.mark.parametrize("body", [b'{"task":', b"{", b"", b'{"task":"\xff"}'])
def test_other_bodies_that_are_no_json_are_told_so(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not JSON"):
        decode(body, Submission)


def test_a_whole_pair_is_a_character() -> None:
    assert decode(rb'{"task":"a","kwargs":{"t":"\ud83d\ude00"}}', Submission).kwargs == {"t": "\U0001f600"}
