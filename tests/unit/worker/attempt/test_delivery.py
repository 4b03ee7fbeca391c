"""Messages are read without trusting any byte of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge.model import FailureCode, InputFile, check_job_id
from edge.worker.attempt.delivery import read

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.dictionaries(
    st.sampled_from(["id", "task", "eta", "edge", "timelimit", "x-delivery-count", "x-death", "compression", "y"]),
    ANY | st.dictionaries(st.sampled_from(["failures", "retries", "time_limit_s", "files"]), ANY),
    max_size=5,
)


def _message(body: Any, headers: Any = None, properties: Any = None, info: Any = None) -> Any:
    def decode() -> Any:
        if isinstance(body, Exception):
            raise body
        return body

    raw = b"" if isinstance(body, Exception) else repr(body)
    return SimpleNamespace(headers=headers, properties=properties, delivery_info=info, body=raw, decode=decode)


def test_files_of_a_job_are_read_from_its_headers() -> None:
    """They have the names by which the kind of job knows them."""
    files = {"clip": {"sha256": "0" * 64, "name": "a.mov", "bytes": 7}}
    delivery = read(_message([[], {}, {}], {"task": "t", "id": "i", "edge": {"files": files}}), "edge.normal")
    assert delivery.problem is None
    assert delivery.files == {"clip": InputFile("0" * 64, "a.mov", 7)}


def test_files_that_cannot_be_read_are_a_failure_of_the_job() -> None:
    """A body that runs without its files could return a wrong value."""
    files = {"clip": {"sha256": "../../etc/passwd"}}
    delivery = read(_message([[], {}, {}], {"task": "t", "id": "i", "edge": {"files": files}}), "edge.normal")
    assert delivery.problem is not None
    assert "sha256" in delivery.problem.message


@given(ANY | st.tuples(ANY, ANY, ANY), HEADERS | ANY, HEADERS | ANY, ANY)
def test_any_message_has_an_id_that_names_a_file_and_a_result_that_can_be_written(
    body: Any, headers: Any, properties: Any, info: Any
) -> None:
    """The content of the message does not matter."""
    delivery = read(_message(body, headers, properties, info), "edge.normal")
    check_job_id(delivery.id)
    for text in (delivery.task, delivery.original_id, delivery.problem.message if delivery.problem else ""):
        text.encode()
    assert delivery.failures >= 0
    assert delivery.time_limit_s is None or delivery.time_limit_s > 0
    assert delivery.problem is not None or isinstance(delivery.args, list)


def test_protocol_2_is_read() -> None:
    """The gateway publishes such messages."""
    headers = {
        "id": "a-1",
        "task": "echo",
        "eta": None,
        "edge": {"failures": 1, "retries": 3, "time_limit_s": 2.5},
        "x-delivery-count": 4,
    }
    delivery = read(_message([["x"], {"y": 1}, {"chain": None}], headers), "edge.normal")
    assert (delivery.id, delivery.task, delivery.args, delivery.kwargs) == ("a-1", "echo", ["x"], {"y": 1})
    assert (delivery.failures, delivery.retries, delivery.time_limit_s, delivery.redeliveries) == (1, 3, 2.5, 4)
    assert delivery.problem is None


def test_the_content_gives_an_id_that_redelivery_does_not_change() -> None:
    """The broker adds headers to a redelivered message."""
    error = ValueError("no")
    first = read(_message(error, {"a": 1}), "q")
    again = read(_message(error, {"a": 1, "x-delivery-count": 1, "x-death": []}), "q")
    other = read(_message(error, {"a": 2}), "q")
    assert first.id == again.id != other.id
    assert first.problem is not None
    assert first.problem.code is FailureCode.UNDECODABLE


def test_a_feature_of_celery_that_is_missing_here_is_refused() -> None:
    """To ignore a callback, a chord or a broken chain in silence would give a wrong answer."""
    headers = {"id": "a", "task": "echo"}
    for embed, says in (
        ({"chain": [1]}, "a chain with a step that names no task"),
        ({"chord": {"task": "echo"}}, "'chord'"),
        ({"callbacks": [{"task": "echo"}]}, "'callbacks'"),
    ):
        problem = read(_message([[], {}, embed], headers), "q").problem
        assert problem is not None
        assert says in problem.message
        json.dumps(problem.message)
    late = read(_message([[], {}, {}], {**headers, "eta": "tomorrow"}), "q").problem
    assert late is not None
    assert "an eta that is not a time" in late.message
    old = read(_message([[], {}, {}], {**headers, "expires": "2026-01-01T00:00:00+00:00"}), "q").problem
    assert old is not None
    assert "'2026-01-01T00:00:00+00:00': the board's clock may jump" in old.message


def test_a_message_with_one_key_twice_is_not_run() -> None:
    """Celery writes `{1: 2, "1": 3}` in this way. The body would get only one of the two values."""
    for body in (b'[[{"1": 2, "1": 3}], {}, {"chain": null}]', '[[], {"x": 1, "x": 2}, {}]'):
        message = SimpleNamespace(
            headers={"id": "a", "task": "echo"},
            properties={},
            delivery_info=None,
            body=body,
            decode=lambda body=body: json.loads(body),
        )
        problem = read(message, "edge.normal").problem
        assert problem is not None
        assert problem.code is FailureCode.UNDECODABLE
        assert "twice in one object" in problem.message


def test_what_is_no_number_is_no_count() -> None:
    """Python counts `True` as 1, which would be one retry."""
    headers = {"task": "t", "id": "a", "edge": {"retries": True, "failures": True}}
    delivery = read(_message([[], {}, {}], headers), "q")
    assert (delivery.retries, delivery.failures) == (0, 0)
