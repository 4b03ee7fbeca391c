"""The properties of a message are encoded as py-amqp encodes them, byte for byte."""

from __future__ import annotations

from typing import Any

import amqp
from hypothesis import given
from hypothesis import strategies as st

from edge.broker.message import message
from edge.broker.properties import JobMessage
from edge.ledger.rows import JobRow
from edge.model import JobState, Power

_WHOLE = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**31 - 1, 2**31, 1 - 2**31, -(2**31), 0])
Values = st.recursive(
    st.none() | st.booleans() | _WHOLE | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=20), Values, max_size=5), st.text(max_size=60))
def test_any_headers_are_encoded_as_by_py_amqp(headers: dict[str, Any], job_id: str) -> None:
    """Whatever JSON can hold."""
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": job_id,
    }
    ours = JobMessage(b"", application_headers=headers, **properties)
    assert (
        ours._serialize_properties()
        == amqp.Message(b"", application_headers=headers, **properties)._serialize_properties()
    )


def test_a_job_is_encoded_as_by_py_amqp() -> None:
    """With all that the worker is told of it."""
    job = JobRow(
        *(7, "0123", "solve", b'[[1, "x"], {"a": null}]', Power.NORMAL, 2, 1.5, "me", b"f", JobState.ACCEPTED, 1.0),
        max_temp_c=70.0,
    )
    body, headers, properties = message(job, origin="gateway@board")
    ours = JobMessage(body, application_headers=headers, **properties)
    theirs = amqp.Message(body, application_headers=headers, **properties)
    assert ours._serialize_properties() == theirs._serialize_properties()
