"""Our encoder of publishes makes the same bytes as py-amqp."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from edge.broker.frames import publish
from edge.broker.message import message
from edge.ledger.rows import JobRow
from edge.model import JobState, Power

_WHOLE = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**31 - 1, 2**31, 1 - 2**31, -(2**31), 0])
Values = st.recursive(
    st.none() | st.booleans() | _WHOLE | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
)


def by_py_amqp(body: bytes, headers: dict[str, Any], properties: dict[str, Any], *, queue: str, most: int) -> bytes:
    """Return the bytes that py-amqp writes for the same publish on channel 1."""
    written: list[bytes] = []
    connection = SimpleNamespace(frame_max=most, bytes_sent=0)
    transport = SimpleNamespace(write=lambda data: written.append(bytes(data)))
    write = frame_writer(connection, transport)
    args = dumps("Bssbb", (0, "", queue, True, False))
    write(1, 1, spec.Basic.Publish, args, amqp.Message(body, application_headers=headers, **properties))
    return b"".join(written)


@given(st.dictionaries(st.text(max_size=20), Values, max_size=5), st.text(max_size=60), st.binary(max_size=50))
def test_any_headers_are_encoded_as_by_py_amqp(headers: dict[str, Any], job_id: str, body: bytes) -> None:
    """This holds for any JSON values in the headers."""
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": job_id,
    }
    ours = publish(body or b"x", headers, properties, queue="edge.normal", channel=1, most_bytes=131_072)
    assert ours == by_py_amqp(body or b"x", headers, properties, queue="edge.normal", most=131_072)


@pytest.mark.parametrize("size", [0, 4000, 4070, 4088, 4089, 8176, 8177, 50_000])
def test_a_job_of_any_size_is_framed_as_by_py_amqp(size: int) -> None:
    """The message of a whole job is compared. A body that is larger than a frame is split into several."""
    arguments = b'[[1, "%s"], {"a": null}]' % (b"x" * size)
    job = JobRow(
        *(7, "0123", "solve", arguments, Power.NORMAL, 2, 1.5, "me", b"f", JobState.ACCEPTED, 1.0),
        max_temp_c=70.0,
    )
    body, headers, properties = message(job, origin="gateway@board")
    ours = publish(body, headers, properties, queue="edge.surplus", channel=1, most_bytes=4096)
    assert ours == by_py_amqp(body, headers, properties, queue="edge.surplus", most=4096)
