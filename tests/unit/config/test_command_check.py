"""Contradictions in `commands:` are refused with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.jobs.run import run
from edge.config import load
from edge.config.commands import RUN_OPTIONS
from edge.core.errors import ConfigError

GOOD: dict[str, Any] = {
    "name": "transcode",
    "run": ["ffmpeg", "-i", "{input}", "-vf", "scale={width}:-1", "{output:out.mp4}"],
    "parameters": {"width": {"type": "int", "min": 64, "max": 3840, "default": 1280}},
    "inputs": {"input": {"max_bytes": 1000}},
    "outputs": ["*.mp4"],
}


def read(tmp_path: Path, *commands: dict[str, Any], **more: Any) -> Any:
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump({"commands": list(commands), **more}))
    return load(path, env={}).config


def test_the_example_of_the_documentation_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).commands[0].name == "transcode"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"run": []}, "commands[0].run"),
        ({"run": ["{input}", "{width}"]}, "commands[0].run[0]"),
        ({"run": ["bin/x", "{input}{width}"]}, "commands[0].run[0]"),
        ({"run": ["x", "{input}", "{width"]}, "commands[0].run[2]"),
        ({"run": ["x", "{input}", "{width}", "{height}"]}, "commands[0].run"),
        ({"run": ["x", "{input}"]}, "commands[0].parameters.width"),
        ({"run": ["x", "{width}"]}, "commands[0].inputs.input"),
        ({"run": ["x", "{input}", "{width}", "{output:../out}"]}, "commands[0].run"),
        ({"run": ["x", "{input}", "{width}", "{output:-o.mp4}"]}, "commands[0].run"),
        ({"run": ["x", "{input}", "{width}", "{output:a.mp3}"]}, "commands[0].outputs"),
        ({"name": "a b"}, "commands[0].name"),
        ({"outputs": ["a/*.mp4"]}, "commands[0].outputs[0]"),
        ({"outputs": [".*"]}, "commands[0].outputs[0]"),
        ({"outputs": [""]}, "commands[0].outputs[0]"),
        ({"env": {"A B": "1"}}, "commands[0].env.A B"),
        ({"env": {"EDGE_JOB_ID": "1"}}, "commands[0].env.EDGE_JOB_ID"),
        ({"stdin": "clip"}, "commands[0].stdin"),
        ({"progress": "time=[0-9]+"}, "commands[0].progress"),
        ({"progress": "("}, "commands[0].progress"),
        ({"progress_total": "total"}, "commands[0].progress_total"),
        ({"progress_total": -1.0}, "commands[0].progress_total"),
        ({"reads": ["srv"]}, "commands[0].reads[0]"),
        ({"reads": ["/"]}, "commands[0].reads[0]"),
        ({"reads": ["/proc"]}, "commands[0].reads[0]"),
        ({"reads": ["/run/dbus"]}, "commands[0].reads[0]"),
        ({"reads": ["/tmp/"]}, "commands[0].reads[0]"),
        ({"progress_total": 5.0}, "commands[0].progress_total"),
        ({"inputs": {f"i{n}": {} for n in range(17)}}, "commands[0].inputs"),
        ({"reads": ["/srv/../etc"]}, "commands[0].reads[0]"),
        ({"sandbox": False}, "commands[0].network"),
        ({"sandbox": False, "network": True, "reads": ["/srv"]}, "commands[0].reads"),
        ({"memory_mb": 0}, "commands[0].memory_mb"),
        ({"scope": "node"}, "commands[0].scope"),
        ({"shell": True}, "commands[0].shell"),
        ({"inputs": {"input": {}, "width": {}}}, "commands[0].inputs.width"),
        ({"inputs": {"a-b": {}}}, "commands[0].inputs"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD | change)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "int"},
        {"type": "float", "min": -1},
        {"type": "int", "min": 5, "max": 4},
        {"type": "int", "min": 0.5},
        {"type": "int", "min": 0, "default": "5"},
        {"type": "int", "min": 0, "default": True},
        {"type": "int", "min": 0, "max": 3, "default": 4},
        {"type": "float", "min": 0, "default": ".nan"},
        {"type": "int", "min": 0, "pattern": "a"},
        {"type": "text", "min": 0},
        {"type": "text", "pattern": "("},
        {"type": "text", "pattern": "a)|(-b"},
        {"type": "bool"},
        {"type": "text", "default": "-x"},
        {"type": "text", "default": "a/b"},
        {"type": "text", "pattern": ".*", "default": "-x"},
        {"type": "text", "choices": ["a"], "default": "b"},
        {"type": "text", "when_true": "--x"},
        {"type": "bool", "choices": ["a"]},
        {"type": "bool", "default": "true"},
    ],
)
def test_a_parameter_that_cannot_be_right_is_refused(tmp_path: Path, parameter: dict[str, Any]) -> None:
    command = {"name": "c", "run": ["x", "{p}"], "parameters": {"p": parameter}}
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, command)
    assert caught.value.key.startswith("commands[0].parameters.p")


def test_a_negative_number_is_allowed_behind_two_hyphens(tmp_path: Path) -> None:
    command = {"name": "c", "run": ["x", "--", "{p}"], "parameters": {"p": {"type": "int"}}}
    assert read(tmp_path, command)


def test_a_negative_number_is_allowed_behind_text(tmp_path: Path) -> None:
    command = {"name": "c", "run": ["x", "--seek={p}"], "parameters": {"p": {"type": "int"}}}
    assert read(tmp_path, command)


@pytest.mark.parametrize("first", [{"pattern": "a*"}, {"choices": ["", "a"]}])
def test_a_negative_number_behind_a_value_that_may_be_empty_is_refused(tmp_path: Path, first: dict[str, Any]) -> None:
    command = {"name": "c", "run": ["x", "{p}{n}"], "parameters": {"n": {"type": "int"}, "p": first}}
    with pytest.raises(ConfigError, match="min: 0") as caught:
        read(tmp_path, command)
    assert caught.value.key == "commands[0].parameters.n.min"
    assert read(tmp_path, command | {"run": ["x", "--", "{p}{n}"]})


def test_a_bad_pattern_is_named_whichever_parameter_is_checked_first(tmp_path: Path) -> None:
    command = {"name": "c", "run": ["x", "{p}{n}"], "parameters": {"n": {"type": "int"}, "p": {"pattern": "("}}}
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, command)
    assert caught.value.key == "commands[0].parameters.p.pattern"


def refused(tmp_path: Path, change: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD | change)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_parameter_cannot_be_called_as_an_option_of_edge_run(tmp_path: Path) -> None:
    """In `edge run KIND --key x` the option belongs to `edge run`, so the parameter could not be given."""
    assert {identifier(word) for option in run.params for word in option.opts} | {"help"} == RUN_OPTIONS
    for name in RUN_OPTIONS:
        made = {"run": ["x", f"{{{name}}}"], "parameters": {name: {}}, "inputs": {}, "outputs": []}
        option = "--" + name.replace("_", "-")
        assert f"commands[0].parameters.{name} = '{name}': expected another name: {option} is" in refused(
            tmp_path, made
        )


def identifier(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ({"when_false": "--x"}, ".when_false = '--x': only for bool"),
        ({"choices": ["a", "b\0"]}, r".choices[1] = 'b\x00': expected text without NUL"),
        ({"type": "bool", "when_true": "\0"}, r".when_true = '\x00': expected text without NUL"),
        (
            {"type": "int", "min": 0, "max": 3, "default": 9},
            ".default = 9: expected a finite number and at least 0 and at most 3",
        ),
        (
            {"default": "../x"},
            ".default = '../x': expected at most 200: letters, digits, space and ._+-, starting with a letter",
        ),
        (
            {"pattern": "[a-z]*", "default": "A"},
            "text that fits [a-z]*, without control characters, not starting with -",
        ),
    ],
)
def test_an_error_of_a_parameter_names_what_is_wrong_and_what_is_allowed(
    tmp_path: Path, parameter: dict[str, Any], words: str
) -> None:
    change = {"run": ["x", "{p}"], "parameters": {"p": parameter}, "inputs": {}, "outputs": []}
    assert words in refused(tmp_path, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"env": {"A": "b\0"}}, r"env.A = 'b\x00': expected text without NUL"),
        ({"env": {"EDGE_A": "1"}}, "another name: EDGE_*"),
        ({"env": {"1A": "1"}}, "a name of letters, digits and _"),
        ({"reads": ["/a/../b"]}, "without .."),
        ({"run": ["x", "{input}", "{width}", "{output:" + "a" * 300 + "}"]}, "1 to 200 letters"),
        ({"run": ["x", "{1}"]}, "not starting with a digit, or {output:FILE}"),
        ({"run": ["{input}", "{width}"]}, "no parameter chooses it"),
        ({"inputs": {"input": None}}, "commands[0].inputs.input = None"),
        ({"env": {"A": 1}}, "commands[0].env.A = 1"),
        ({"parameters": {"width": {"choices": [True]}}}, "commands[0].parameters.width.choices[0] = True"),
        ({"env": {"B": "2", "A.B": 1}}, "commands[0].env.A.B = 1"),
    ],
)
def test_an_error_names_what_is_wrong_and_what_is_allowed(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refused(tmp_path, change)


def test_a_bool_fills_a_whole_word(tmp_path: Path) -> None:
    command = {"name": "c", "run": ["x", "-a{p}"], "parameters": {"p": {"type": "bool", "when_true": "b"}}}
    with pytest.raises(ConfigError, match="whole word"):
        read(tmp_path, command)


def test_two_commands_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another command"):
        read(tmp_path, GOOD, GOOD)


def test_a_command_cannot_take_the_name_of_the_one_for_any_program(tmp_path: Path) -> None:
    command = {"name": "run", "run": ["true"]}
    assert read(tmp_path, command)
    with pytest.raises(ConfigError, match="allow_any"):
        read(tmp_path, command, allow_any=True)
