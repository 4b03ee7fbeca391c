"""The end of a body becomes a value or a failure."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edge.model import FailureCode
from edge.worker.executor.execute import MAX_DEPTH, Outcome, execute
from edge.worker.process.control import Control


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a body with a limit of 100 bytes, without handling the signals of this process."""
    control = Control(stop_grace_s=0, on_stop=lambda: None, on_stubborn=lambda _why: None)
    monkeypatch.setattr(control, "install", lambda: None)
    return lambda body: execute(control, "a", body, limit_s=None, max_bytes=100)


@pytest.fixture
def run_at_length(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a body with a limit of one megabyte."""
    control = Control(stop_grace_s=0, on_stop=lambda: None, on_stubborn=lambda _why: None)
    monkeypatch.setattr(control, "install", lambda: None)
    return lambda body: execute(control, "a", body, limit_s=None, max_bytes=1 << 20)


def test_a_value_is_encoded_once(run: Callable[..., Outcome]) -> None:
    """It is encoded as it will be in the result."""
    outcome = run(lambda: {"a": (1, 2)})
    assert outcome.encoded is not None
    assert bytes(outcome.encoded) == b'{"a":[1,2]}'
    assert (outcome.failure, outcome.error) == (None, None)


@pytest.mark.parametrize("value", [float("nan"), {"a": [None, (1.0, float("-inf"))]}])
def test_a_number_that_json_lacks_is_no_result(run: Callable[..., Outcome], value: Any) -> None:
    """It would become a null that the body did not return. A None of the body stays."""
    failure = run(lambda: value).failure
    assert failure is not None
    assert failure.code is FailureCode.NOT_SERIALISABLE
    assert "which JSON has no number for" in failure.message
    assert run(lambda: {"a": None, "b": "null", "c": 1.5}).failure is None
    assert run(lambda: [None, msgspec.Raw(b'{"a":null}')]).encoded == msgspec.Raw(b'[null,{"a":null}]')


@pytest.mark.parametrize("value", [{1: 2, "1": 3}, [{"a": {1.5: "x", "1.5": "y"}}]])
def test_keys_that_collide_in_json_are_no_result(run: Callable[..., Outcome], value: Any) -> None:
    """One of two values would be lost, with the state `succeeded`."""
    failure = run(lambda: value).failure
    assert failure is not None
    assert failure.code is FailureCode.NOT_SERIALISABLE
    assert "in which two keys become" in failure.message
    assert run(lambda: [{"a": 1}, {"a": 2, 1: '"a":', "2": {"a": 3}}]).failure is None


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Stubborn(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


def _raises(err: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise err

    return body


def _recursive() -> Any:
    return _recursive()


def _endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (_raises(ValueError("why")), FailureCode.EXCEPTION, "why"),
        (_raises(Unprintable()), FailureCode.EXCEPTION, "without text"),
        (_raises(Stubborn()), FailureCode.EXCEPTION, "without text"),
        (_raises(MemoryError()), FailureCode.EXCEPTION, "MemoryError"),
        (_raises(ValueError("a\ud800b")), FailureCode.EXCEPTION, "a\\ud800b"),
        (_raises(ValueError("x" * 100_000)), FailureCode.EXCEPTION, "xxx"),
        (_raises(KeyboardInterrupt()), FailureCode.EXCEPTION, ""),
        (_raises(SystemExit(3)), FailureCode.EXIT, "code 3"),
        (lambda: sys.exit("bye"), FailureCode.EXIT, "bye"),
        (_recursive, FailureCode.EXCEPTION, "recursion"),
        (object, FailureCode.NOT_SERIALISABLE, "object"),
        (_endless, FailureCode.NOT_SERIALISABLE, "list"),
        (lambda: "\ud800", FailureCode.NOT_SERIALISABLE, "str"),
        (lambda: "x" * 101, FailureCode.TOO_LARGE, "103 bytes"),
    ],
)
def test_every_end_has_its_failure(
    run: Callable[..., Outcome], body: Callable[[], Any], code: FailureCode, words: str
) -> None:
    """Its message can be written to a file and has a limited length."""
    failure = run(body).failure
    assert failure is not None
    assert failure.code is code
    assert words in failure.message
    failure.message.encode()
    failure.traceback.encode()
    assert len(failure.message) < 5000
    assert len(failure.traceback) < 25_000


def test_the_traceback_begins_in_the_persons_code(run: Callable[..., Outcome]) -> None:
    """Frames of the worker are left out; causes are kept."""

    def body() -> None:
        try:
            dict[str, int]()["x"]
        except KeyError as err:
            raise ValueError("outer") from err

    failure = run(body).failure
    assert failure is not None
    assert "KeyError" in failure.traceback
    assert "test_execute.py" in failure.traceback
    assert "control.py" not in failure.traceback


@pytest.mark.parametrize(("levels", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (3000, False)])
def test_a_value_nested_too_deep_is_no_result(
    run_at_length: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, levels: int, fits: bool
) -> None:
    """Its readers would run out of stack, even if the body raised its own recursion limit."""
    before = sys.getrecursionlimit()
    value: Any = 'brackets in strings [[[ {{{ "\\" do not count'
    for level in range(levels):
        value = [value, []] if level % 2 else {"[": value}

    def body() -> Any:
        sys.setrecursionlimit(20_000)
        return value

    try:
        outcome = run_at_length(body)
    finally:
        sys.setrecursionlimit(before)
    if fits:
        assert outcome.encoded is not None
        assert json.loads(bytes(outcome.encoded)) == value
    else:
        assert outcome.failure is not None
        assert outcome.failure.code is FailureCode.NOT_SERIALISABLE
        assert "nested" in outcome.failure.message


def test_many_brackets_that_are_not_deep_are_fine(run_at_length: Callable[..., Outcome]) -> None:
    """A long table and a text full of brackets are results."""
    assert run_at_length(lambda: [[[n]] for n in range(5000)]).failure is None
    assert run_at_length(lambda: '[{"' * 5000).failure is None
