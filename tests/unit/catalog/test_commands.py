"""Commands as kinds of job: their signatures and schemas, and the arguments that they accept."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.commands import any_program, commands_of, signature_of
from edge.config import CommandConfig, Config
from edge.config.commands import ParameterConfig
from edge.core.errors import BadArguments
from edge.model import InputFile
from tests.unit.worker.command.attempts import SMUGGLED_NUMBERS, SMUGGLED_TEXTS


def command(run: tuple[str, ...] = ("tool", "--name", "{p}"), **parameter: Any) -> CommandConfig:
    return CommandConfig(name="c", run=run, parameters={"p": ParameterConfig(**parameter)})


def taken(made: CommandConfig, value: Any, **others: Any) -> bool:
    """Return whether the gateway accepts the value, and check that the worker agrees."""
    signature = signature_of(made)
    catalogue = Catalogue({"c": TaskInfo("c", positional=signature.positional, schema=signature.schema())}, {})
    answers, arguments = [], {"p": value, **others}
    for check in (lambda: catalogue.check("c", [], arguments), lambda: signature.bind([], arguments)):
        try:
            check()
            answers.append(True)
        except BadArguments:
            answers.append(False)
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.parametrize("text", SMUGGLED_TEXTS)
def test_plain_text_takes_nothing_that_a_program_could_take_for_more(text: str) -> None:
    assert not taken(command(), text)


@pytest.mark.parametrize("text", ["a", "clip 1", "a.b_c+d-e", "0", "Z" * 200])
def test_plain_text_takes_names(text: str) -> None:
    assert taken(command(), text)


@pytest.mark.parametrize("text", ["-x", "--x", "-", "a\n", "a\x00", "\x1b[0m", "a\nb"])
def test_no_pattern_lets_an_option_or_control_characters_in(text: str) -> None:
    assert not taken(command(pattern=r"[\s\S]*"), text)


def test_behind_two_hyphens_a_pattern_may_allow_a_hyphen() -> None:
    behind = command(("tool", "--", "{p}"), pattern=".*")
    assert taken(behind, "-x")
    assert not taken(behind, "a\nb")


def test_in_front_of_two_hyphens_none_does() -> None:
    assert not taken(command(("tool", "{p}", "--"), pattern=".*"), "-x")


@pytest.mark.parametrize("first", [{"pattern": "a?"}, {"choices": ("", "a")}])
def test_a_value_after_one_that_may_be_empty_is_no_option(first: dict[str, Any]) -> None:
    parameters = {"p": ParameterConfig(pattern=".*"), "q": ParameterConfig(**first)}
    assert not taken(CommandConfig(name="c", run=("tool", "{q}{p}"), parameters=parameters), "-x", q="")


def test_a_value_after_one_that_is_never_empty_may_begin_with_a_hyphen() -> None:
    parameters = {"p": ParameterConfig(pattern=".*"), "q": ParameterConfig()}
    assert taken(CommandConfig(name="c", run=("tool", "{q}{p}"), parameters=parameters), "-x", q="a")


def test_a_pattern_is_for_the_whole_text() -> None:
    assert not taken(command(pattern="a|b"), "xa")
    assert not taken(command(pattern="a|b"), "ax")
    assert taken(command(pattern="a|b"), "b")


@pytest.mark.parametrize("value", SMUGGLED_NUMBERS)
def test_a_number_takes_no_text_and_nothing_out_of_bounds(value: Any) -> None:
    assert not taken(command(type="int", min=64, max=3840), value)


def test_choices_may_begin_with_a_hyphen() -> None:
    made = command(choices=("fast", "-slow"))
    assert taken(made, "-slow")
    assert not taken(made, "-other")


@pytest.mark.parametrize("value", ["true", 1, 0, None, "--fast"])
def test_a_bool_takes_no_text(value: Any) -> None:
    made = command(("tool", "{p}"), type="bool", when_true="--fast")
    assert not taken(made, value)
    assert taken(made, True)


def test_a_parameter_with_a_default_may_be_left_out() -> None:
    assert signature_of(command(type="int", min=1, default=5)).schema()["required"] == []


def test_any_program_needs_the_scope_run() -> None:
    assert any_program().scope == "run"
    assert commands_of(Config()) == ()
    assert commands_of(Config(allow_any=True)) == (any_program(),)


@pytest.mark.parametrize("argv", [[], "ls", ["a\x00b"], [1], None, ["a"] * 1001])
def test_any_program_takes_a_list_of_words(argv: Any) -> None:
    with pytest.raises(BadArguments):
        signature_of(any_program()).bind([], {"argv": argv})


@pytest.mark.parametrize(("pattern", "words"), [(None, "letters, digits, space"), ("[a-z]+", "text that fits [a-z]+")])
def test_the_error_of_a_text_describes_the_allowed_text(pattern: str | None, words: str) -> None:
    signature = signature_of(command(pattern=pattern))
    catalogue = Catalogue({"c": TaskInfo("c", positional=signature.positional, schema=signature.schema())}, {})
    with pytest.raises(BadArguments, match=re.escape(f"must be {words}")):
        catalogue.check("c", [], {"p": "\u00e9"})


def test_files_in_one_folder_have_different_names() -> None:
    info = TaskInfo("run", one_folder=True)
    info.check_files({"a": FILE, "b": InputFile("0" * 64, "b", 1)})
    with pytest.raises(BadArguments, match="two inputs have the file name 'a'"):
        info.check_files({"a": FILE, "b": FILE})


FILE = InputFile("0" * 64, "a", 10)


@pytest.mark.parametrize(
    ("inputs", "files", "fits"),
    [
        (None, {"any": FILE}, True),
        ({}, {}, True),
        ({}, {"a": FILE}, False),
        ({"a": 10}, {"a": FILE}, True),
        ({"a": 9}, {"a": FILE}, False),
        ({"a": 10}, {}, False),
        ({"a": 10}, {"a": FILE, "b": FILE}, False),
    ],
)
def test_a_kind_takes_the_files_it_names(inputs: Any, files: Any, fits: bool) -> None:
    info = TaskInfo("c", inputs=inputs)
    if fits:
        info.check_files(files)
        return
    with pytest.raises(BadArguments, match="input"):
        info.check_files(files)
