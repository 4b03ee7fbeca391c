"""`edge run` turns words of the command line into parameters and files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from edge.cli.jobs.run import _upload, _with_names, sorted_words
from edge.core.errors import UsageError
from edge.wire import TaskView

if TYPE_CHECKING:
    from edge.client import Client

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
    """Options become parameters of the type in the schema, other words files. The board checks unsuitable values."""
    assert sorted_words(KIND, words) == (given, paths)


@pytest.mark.parametrize("words", [["--height", "1"], ["--width"], ["--wi=1"]])
def test_a_mistyped_option_is_refused(words: list[str]) -> None:
    """An unknown option, or one without a value, is refused."""
    with pytest.raises(UsageError, match="option"):
        sorted_words(KIND, words)


def uploaded(given: list[str]) -> None:
    _upload(cast("Client", SimpleNamespace(upload=str)), given)


@pytest.mark.parametrize(
    ("made", "words"), [("", "a folder"), ("/dev/null", "not a plain file"), ("x", "no such file")]
)
def test_a_file_that_cannot_be_sent_is_told_why(tmp_path: Path, made: str, words: str) -> None:
    """The error says why a path cannot be sent: a folder, a device, or no such file."""
    with pytest.raises(UsageError, match=f": {words}$"):
        uploaded([str(tmp_path / made)])


def test_an_input_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """Two files for the same input are refused."""
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match="input 'h' is given twice"):
        uploaded([f"h={tmp_path / 'a'}"] * 2)


def test_a_file_too_many_is_named() -> None:
    """The error names the file, and the inputs of the kind."""
    with pytest.raises(UsageError, match=r"'b' is one file too many; the kind 'transcode' takes: input"):
        _with_names(KIND, ["a", "b"])
