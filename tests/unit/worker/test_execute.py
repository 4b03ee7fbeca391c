"""How a body's end becomes a value or a failure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from edge.model import FailureCode
from edge.worker.control import Control
from edge.worker.execute import Outcome, execute


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a body with a limit of 100 bytes, without taking this process's signals."""
    control = Control(stop_grace_s=0, on_stop=lambda: None, on_stubborn=lambda _why: None)
    monkeypatch.setattr(control, "install", lambda: None)
    return lambda body: execute(control, "a", body, limit_s=None, max_bytes=100)


def test_a_value_is_encoded_once(run: Callable[..., Outcome]) -> None:
    """As it will stand in the result."""
    outcome = run(lambda: {"a": (1, 2)})
    assert outcome.encoded is not None
    assert bytes(outcome.encoded) == b'{"a":[1,2]}'
    assert (outcome.failure, outcome.error) == (None, None)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


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
    """With a message that can be written down, and is not endless."""
    failure = run(body).failure
    assert failure is not None
    assert failure.code is code
    assert words in failure.message
    failure.message.encode()
    failure.traceback.encode()
    assert len(failure.message) < 5000
    assert len(failure.traceback) < 25_000


def test_the_traceback_begins_in_the_persons_code(run: Callable[..., Outcome]) -> None:
    """Ours would only be in the way; causes are kept."""

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
