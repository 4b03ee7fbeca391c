"""Sums in words."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.worker import Job
from tasks import solve
from tasks.solve import NotASum, TooLarge, evaluate


def test_the_answer_is_value_and_file(tmp_path: Path) -> None:
    """As it was from the beginning: 1-response.txt holds `50 divided by 2 = 25`."""
    assert solve(1, "What is 50 divided by 2?", job=Job.local(tmp_path)) == "50 divided by 2 = 25"
    assert (tmp_path / "1-response.txt").read_text() == "50 divided by 2 = 25"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("five plus three", "five plus three = 8"),
        ("What is 2 ^ 10?", "2 ^ 10 = 1024"),
        ("twenty one times two", "twenty one times two = 42"),
        ("-3 + 3", "-3 + 3 = 0"),
        ("square root of 16", "square root of 16 = 4.0"),
    ],
)
def test_sums(message: str, answer: str) -> None:
    """ChatterBot's own answers, not ours."""
    assert evaluate(message) == answer


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "",
        "?",
        "(((",
        "1 +",
        "5",
        "-5",
        "3.5",
        "I have 5 apples",
        "1 2 3",
        "sqrt -4",
        "log 0",
        "+ + +",
        "\0",
        "९",
    ],
)
def test_what_is_no_sum_says_so(message: str) -> None:
    """One sentence, whatever mathparse raises inside."""
    with pytest.raises(NotASum) as err:
        evaluate(message)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("message", ["9^9^9", "9^9^9^9", "2 ^ 99999999", "10^200 * 10^200"])
def test_a_sum_beyond_all_bounds_is_refused_at_once(message: str) -> None:
    """Not after a week."""
    began = time.monotonic()
    with pytest.raises(TooLarge):
        evaluate(message)
    assert time.monotonic() - began < 5


def test_long_messages_are_quick() -> None:
    """No pattern in the parser runs away."""
    began = time.monotonic()
    for message in ("1 " * 500, "(" * 1000, "one hundred " * 80, "1+" * 499 + "1", "9" * 1000):
        try:
            evaluate(message)
        except (NotASum, TooLarge):
            continue
    assert time.monotonic() - began < 20


def test_solving_does_not_load_spacy() -> None:
    """85 MB that a sum has no use for; and all of ChatterBot can still be imported afterwards."""
    program = (
        "import sys; from tasks.solve import evaluate; print(evaluate('1 + 1'), 'spacy' in sys.modules);"
        "import chatterbot; print(chatterbot.ChatBot.__name__, 'spacy' in sys.modules); print(evaluate('1 + 2'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 + 1 = 2 False", "ChatBot True", "1 + 2 = 3"]
