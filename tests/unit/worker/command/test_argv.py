"""Arguments are made from a template, also for a message that did not come through the gateway."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import CommandConfig
from edge.config.commands import InputConfig, ParameterConfig
from edge.worker.command.argv import arguments
from edge.worker.command.failure import ProgramFailed
from tests.unit.worker.command.attempts import SMUGGLED_TEXTS

WORK = PurePath("/work")


def made(run: tuple[str, ...], values: dict[str, Any], **parameters: ParameterConfig) -> list[str]:
    command = CommandConfig(name="c", run=run, parameters=parameters, inputs={"input": InputConfig()})
    return arguments(command, values, {"input": PurePath("/inputs/input/clip.mov")}, WORK)


def test_words_are_filled() -> None:
    run = ("ffmpeg", "-i", "{input}", "-vf", "scale={width}:-1", "{output:out.mp4}")
    assert made(run, {"width": 640}, width=ParameterConfig(type="int", min=64)) == [
        *("-i", "/inputs/input/clip.mov", "-vf", "scale=640:-1", "/work/out.mp4")
    ]


@pytest.mark.parametrize("text", [text for text in SMUGGLED_TEXTS if "\0" not in text])
def test_a_text_stays_one_argument_or_is_refused(text: str) -> None:
    run = ("tool", "{p}", "end")
    try:
        found = made(run, {"p": text}, p=ParameterConfig(pattern=".*"))
    except ProgramFailed as err:
        assert text.startswith("-")
        assert "option" in str(err)  # noqa: PT017 - one of two ends
        return
    assert found == [text, "end"]
    assert not found[0].startswith("-")


def test_a_parameter_that_is_not_given_has_its_default() -> None:
    """A schedule and a submit may leave it out."""
    run = ("tool", "--days={days}", "{mode}")
    parameters = {
        "days": ParameterConfig(type="int", min=1, default=1),
        "mode": ParameterConfig(choices=("--fast", "--slow"), default="--slow"),
    }
    assert made(run, {}, **parameters) == ["--days=1", "--slow"]
    assert made(run, {"days": 7, "mode": "--fast"}, **parameters) == ["--days=7", "--fast"]


def test_a_missing_parameter_without_a_default_is_refused() -> None:
    """The message did not come through the gateway, which would have refused it."""
    with pytest.raises(ProgramFailed, match="'days' is missing"):
        made(("tool", "{days}"), {}, days=ParameterConfig(type="int", min=1))


def test_a_nul_is_refused() -> None:
    with pytest.raises(ProgramFailed, match="NUL"):
        made(("tool", "a{p}"), {"p": "a\0-x"}, p=ParameterConfig(pattern=".*"))


@pytest.mark.parametrize("value", [-1, -0.5, float("-inf")])
def test_a_number_is_no_option_either(value: float) -> None:
    with pytest.raises(ProgramFailed, match="option"):
        made(("tool", "{p}"), {"p": value}, p=ParameterConfig(type="float"))


def test_behind_two_hyphens_it_may_begin_with_one() -> None:
    assert made(("tool", "--", "{p}"), {"p": -1}, p=ParameterConfig(type="int")) == ["--", "-1"]


def test_two_values_cannot_make_an_option_together() -> None:
    with pytest.raises(ProgramFailed, match="option"):
        made(("tool", "{p}{q}"), {"p": "", "q": "-x"}, p=ParameterConfig(), q=ParameterConfig())


@pytest.mark.parametrize(("value", "words"), [(True, ["--fast", "end"]), (False, ["end"])])
def test_a_bool_puts_in_the_owners_word_or_none(value: bool, words: list[str]) -> None:
    assert made(("t", "{p}", "end"), {"p": value}, p=ParameterConfig(type="bool", when_true="--fast")) == words


def test_a_choice_of_the_owner_may_be_an_option() -> None:
    assert made(("t", "{p}"), {"p": "-x"}, p=ParameterConfig(choices=("-x",))) == ["-x"]


def test_braces_in_a_value_are_not_filled() -> None:
    assert made(("t", "{p}"), {"p": "{input}"}, p=ParameterConfig(pattern=".*")) == ["{input}"]


@pytest.mark.parametrize("n", ["-x", "--x", "-"])
def test_an_empty_choice_lets_the_next_value_be_no_option(n: str) -> None:
    p, free = ParameterConfig(choices=("", "a")), ParameterConfig(pattern=".*")
    with pytest.raises(ProgramFailed, match=r"'n' = .* option"):
        made(("tool", "{p}{n}"), {"p": "", "n": n}, p=p, n=free)
    assert made(("tool", "{p}{n}"), {"p": "a", "n": n}, p=p, n=free) == ["a" + n]
    assert made(("tool", "--", "{p}{n}"), {"p": "", "n": n}, p=p, n=free) == ["--", n]


WORDS = st.lists(st.sampled_from(["{p}", "{q}", "{n}", "a", "-o", "="]), min_size=1, max_size=4).map("".join)


@given(WORDS, st.sampled_from(["", "-x", "--", "y"]), st.sampled_from(["", "-z"]), st.integers(-2, 2))
def test_no_argument_begins_with_a_hyphen_that_the_owner_has_not_written(word: str, p: str, q: str, n: int) -> None:
    parameters = {
        "p": ParameterConfig(pattern=".*"),
        "q": ParameterConfig(choices=("", "-z")),
        "n": ParameterConfig(type="int"),
    }
    try:
        found = made(("tool", word), {"p": p, "q": q, "n": n}, **parameters)
    except ProgramFailed:
        return
    owners = word.replace("{q}", q).replace("{p}", p and "p").replace("{n}", "n")
    assert not found[0].startswith("-") or owners.startswith("-")
