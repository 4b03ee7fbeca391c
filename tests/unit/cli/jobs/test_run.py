"""Words of `edge run` into parameters and files."""

from __future__ import annotations

from typing import Any

import pytest

from edge.cli.jobs.run import sorted_words
from edge.core.errors import UsageError
from edge.wire import TaskView

KIND = TaskView(
    "transcode",
    schema={
        "properties": {
            "width": {"type": "integer"},
            "max_rate": {"type": "number"},
            "title": {"type": "string"},
            "fast": {"type": "boolean"},
        }
    },
    inputs={"input": 10},
)


@pytest.mark.parametrize(
    ("words", "given", "paths"),
    [
        (["clip.mov"], {}, ["clip.mov"]),
        (["clip.mov", "--width", "640"], {"width": 640}, ["clip.mov"]),
        (["--width=640", "clip.mov"], {"width": 640}, ["clip.mov"]),
        (["--max-rate", "0.5", "a"], {"max_rate": 0.5}, ["a"]),
        (["--title", "640"], {"title": "640"}, []),
        (["--title=--x"], {"title": "--x"}, []),
        (["--fast", "a"], {"fast": True}, ["a"]),
        (["--fast=false", "a"], {"fast": False}, ["a"]),
        (["--width", "wide"], {"width": "wide"}, []),
    ],
)
def test_words_are_sorted(words: list[str], given: dict[str, Any], paths: list[str]) -> None:
    """What does not fit is sent as it is: the board says what it thinks of it."""
    assert sorted_words(KIND, words) == (given, paths)


@pytest.mark.parametrize("words", [["--height", "1"], ["--width"], ["--wi=1"]])
def test_a_mistyped_option_is_refused(words: list[str]) -> None:
    """Nothing is sent that nobody meant."""
    with pytest.raises(UsageError, match="option"):
        sorted_words(KIND, words)
