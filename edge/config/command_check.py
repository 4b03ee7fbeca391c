"""Checks `commands:`: names are valid, templates can be filled, and no parameter can become an option."""

from __future__ import annotations

import fnmatch
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from edge.config.commands import ANY, PATH, PLAIN_TEXT, RUN_OPTIONS, CommandConfig, ParameterConfig
from edge.core import template
from edge.core.errors import ConfigError
from edge.core.template import Hole, Word
from edge.model import MOST_INPUTS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+=@-]{0,199}")
_PATTERN = re.compile(r"[A-Za-z0-9 ._()+=@*?\[\]!-]{1,200}")
_END_OF_OPTIONS = "--"
NOTHING = "none"
#: Top-level folders that a command may not read: the sandbox makes its own, or they hold interfaces of the system.
_OWN_FOLDERS = frozenset({"proc", "dev", "sys", "run", "work", "inputs", "checkpoint"})


def check(commands: Sequence[CommandConfig], *, allow_any: bool) -> None:
    """Raise ConfigError, naming the key, on the first command that is not valid.

    Args:
        commands: the list.
        allow_any: the key `allow_any`, which makes a kind of job named `run`.
    """
    names = {ANY} if allow_any else set[str]()
    for number, command in enumerate(commands):
        key = f"commands[{number}]"
        if command.name in names:
            why = (
                "`allow_any` makes this kind" if allow_any and command.name == ANY else "another command has this name"
            )
            raise ConfigError(f"{key}.name", command.name, f"{why}: choose another")
        names.add(command.name)
        _check_one(command, key)


def program_of(command: CommandConfig) -> str | None:
    """Return the path of the command's program on this machine, or None if it is not installed."""
    return shutil.which(command.run[0], path=PATH)


def text_pattern(parameter: ParameterConfig, *, may_begin_with_hyphen: bool) -> str:
    """Return the regular expression for the whole text of a parameter. JSON Schema and Python read it the same way."""
    inner = PLAIN_TEXT if parameter.pattern is None else parameter.pattern
    # Control characters are refused in any case. `$` also matches before a newline at the end.
    no_option = "" if may_begin_with_hyphen else "(?!-)"
    return rf"^(?![^\x00-\x1f\x7f]*[\x00-\x1f\x7f]){no_option}(?:{inner})$"


def text_allowed(parameter: ParameterConfig, *, may_begin_with_hyphen: bool) -> str:
    """Return the rule of `text_pattern` in words."""
    if parameter.pattern is None:
        return "letters, digits, space and ._+-, starting with a letter or digit"
    return f"text that fits {parameter.pattern}, without control characters" + (
        "" if may_begin_with_hyphen else ", not starting with -"
    )


def is_behind_end_of_options(command: CommandConfig, place: int) -> bool:
    """Return True if the template has a word `--` before the word at `place`. Programs read no options after `--`."""
    return _END_OF_OPTIONS in command.run[1:place]


def may_begin_with_hyphen(command: CommandConfig, name: str) -> bool:
    """Return True if every argument that may begin with this parameter comes after a `--` of the template.

    An argument also begins with the parameter if everything before it in the same word may be empty.
    """
    return all(
        is_behind_end_of_options(command, place) or name not in _leading(template.parse(text), command)
        for place, text in enumerate(command.run)
    )


def _leading(word: Word, command: CommandConfig) -> Iterator[str]:
    """Yield the names of the holes that the argument may begin with."""
    for part in word:
        if not isinstance(part, Hole) or part.is_output:
            return
        yield part.name
        if part.name not in command.parameters or not _may_be_empty(command.parameters[part.name]):
            return


def _may_be_empty(parameter: ParameterConfig) -> bool:
    if parameter.type != "text":
        return False
    if parameter.choices:
        return "" in parameter.choices
    return re.search(text_pattern(parameter, may_begin_with_hyphen=True), "") is not None


def outputs_of(command: CommandConfig) -> tuple[str, ...]:
    """Return the patterns of the command's output files."""
    if command.outputs:
        return command.outputs
    named = (hole.name for word in command.run for hole in template.holes(template.parse(word)) if hole.is_output)
    return tuple(dict.fromkeys(named))


def _check_one(command: CommandConfig, key: str) -> None:
    if not command.run:
        raise ConfigError(f"{key}.run", [], "expected at least the program")
    if len(command.inputs) > MOST_INPUTS:
        raise ConfigError(f"{key}.inputs", list(command.inputs), f"expected at most {MOST_INPUTS} input files of a job")
    words = list(_words(command, key))
    _check_program(command, words, key)
    for name in (*command.parameters, *command.inputs):
        if not _NAME.fullmatch(name):
            where = "parameters" if name in command.parameters else "inputs"
            raise ConfigError(
                f"{key}.{where}", name, "expected a name of letters, digits and _, not starting with a digit"
            )
    for name in command.parameters:
        if name in RUN_OPTIONS:
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{key}.parameters.{name}", name, f"expected another name: {option} is an option of `edge run` itself"
            )
    for name in command.inputs:
        if name in command.parameters:
            raise ConfigError(f"{key}.inputs.{name}", name, "expected another name: a parameter has this one")
    used = {hole.name for word in words for hole in template.holes(word) if not hole.is_output}
    for hole in (hole for word in words for hole in template.holes(word)):
        _check_hole(hole, command, key)
    for name, parameter in command.parameters.items():
        # Check all patterns first: the check of one parameter below may use the pattern of another parameter.
        _check_pattern(parameter, f"{key}.parameters.{name}.pattern")
    for name, parameter in command.parameters.items():
        where = f"{key}.parameters.{name}"
        if name not in used:
            raise ConfigError(where, name, f"expected a name that `run` has in braces: {{{name}}} is not there")
        _check_parameter(name, parameter, command, words, where)
    if command.stdin != NOTHING and command.stdin not in command.inputs:
        raise ConfigError(
            f"{key}.stdin", command.stdin, f"expected none, or one of the inputs: {_listed(command.inputs)}"
        )
    for name in command.inputs:
        if name not in used and command.stdin != name:
            raise ConfigError(
                f"{key}.inputs.{name}",
                name,
                f"expected a name that is the `stdin`, or that `run` has in braces: {{{name}}}",
            )
    _check_outputs(command, words, key)
    _check_rest(command, key)


def _words(command: CommandConfig, key: str) -> Iterator[Word]:
    for place, text in enumerate(command.run):
        if "\0" in text:
            raise ConfigError(f"{key}.run[{place}]", text, "expected text without NUL characters")
        try:
            yield template.parse(text)
        except ValueError as err:
            raise ConfigError(f"{key}.run[{place}]", text, str(err)) from err


def _check_program(command: CommandConfig, words: Sequence[Word], key: str) -> None:
    program = command.run[0]
    if template.holes(words[0]):
        raise ConfigError(
            f"{key}.run[0]", program, "expected a fixed program, by name or absolute path; no parameter chooses it"
        )
    if not program or ("/" in program and not PurePosixPath(program).is_absolute()):
        raise ConfigError(f"{key}.run[0]", program, "expected a program by name, or by its absolute path")


def _check_hole(hole: Hole, command: CommandConfig, key: str) -> None:
    if hole.is_output:
        if not _FILE.fullmatch(hole.name):
            raise ConfigError(
                f"{key}.run",
                f"{{output:{hole.name}}}",
                "expected a file name of 1 to 200 letters, digits, space and ._()+=@-, starting with a letter or digit",
            )
    elif hole.name not in command.parameters and hole.name not in command.inputs:
        known = _listed((*command.parameters, *command.inputs))
        raise ConfigError(f"{key}.run", f"{{{hole.name}}}", f"no parameter or input has this name; there are {known}")


def _check_parameter(
    name: str, parameter: ParameterConfig, command: CommandConfig, words: Sequence[Word], where: str
) -> None:
    kind = parameter.type
    is_number = kind in ("int", "float")
    for field in ("min", "max"):
        bound = getattr(parameter, field)
        if bound is not None and not is_number:
            raise ConfigError(f"{where}.{field}", bound, f"only for int and float, and this is {kind}")
        if bound is not None and (not math.isfinite(bound) or (kind == "int" and bound != int(bound))):
            raise ConfigError(
                f"{where}.{field}", bound, f"expected a finite number{' without a fraction' * (kind == 'int')}"
            )
    if parameter.min is not None and parameter.max is not None and parameter.min > parameter.max:
        raise ConfigError(f"{where}.min", parameter.min, f"expected at most max = {parameter.max:g}")
    if (parameter.choices or parameter.pattern is not None) and kind != "text":
        field = "choices" if parameter.choices else "pattern"
        raise ConfigError(f"{where}.{field}", getattr(parameter, field), f"only for text, and this is {kind}")
    for field in ("when_true", "when_false"):
        if getattr(parameter, field) and kind != "bool":
            raise ConfigError(f"{where}.{field}", getattr(parameter, field), f"only for bool, and this is {kind}")
    if kind == "bool" and not (parameter.when_true or parameter.when_false):
        raise ConfigError(
            f"{where}.when_true",
            "",
            "expected a text here, or one in `when_false`: without both the parameter has no effect",
        )
    if kind == "bool" and any(Hole(name) in word and len(word) > 1 for word in words):
        raise ConfigError(where, name, "a bool fills a whole word of `run`, and nothing else stands in it")
    fixed_texts = {f"choices[{number}]": each for number, each in enumerate(parameter.choices)}
    fixed_texts |= {"when_true": parameter.when_true, "when_false": parameter.when_false}
    for field, text in fixed_texts.items():
        if "\0" in text:
            raise ConfigError(f"{where}.{field}", text, "expected text without NUL characters")
    negative = is_number and (parameter.min is None or parameter.min < 0)
    if negative and not may_begin_with_hyphen(command, name):
        why = "a negative number at the start of an argument may be read as an option: give min: 0, or put -- before it"
        raise ConfigError(f"{where}.min", parameter.min, why)
    if parameter.default is not None:
        _check_default(name, parameter, command, where)


def _check_pattern(parameter: ParameterConfig, key: str) -> None:
    if parameter.pattern is None:
        return
    try:
        re.compile(parameter.pattern)  # by itself first: a bracket in it must not close a bracket of `text_pattern`
        re.compile(text_pattern(parameter, may_begin_with_hyphen=False))
    except re.error as err:
        raise ConfigError(key, parameter.pattern, f"expected a regular expression: {err}") from err


def _check_default(name: str, parameter: ParameterConfig, command: CommandConfig, where: str) -> None:
    value, kind = parameter.default, parameter.type
    fits = {
        "text": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
    }[kind]
    if not fits:
        raise ConfigError(f"{where}.default", value, f"expected a value of type {kind}")
    if isinstance(value, str):
        if parameter.choices and value not in parameter.choices:
            raise ConfigError(f"{where}.default", value, f"expected one of the choices: {_listed(parameter.choices)}")
        free = may_begin_with_hyphen(command, name)
        pattern = text_pattern(parameter, may_begin_with_hyphen=free)
        if not parameter.choices and (len(value) > parameter.max_length or not re.search(pattern, value)):
            raise ConfigError(
                f"{where}.default",
                value,
                f"expected at most {parameter.max_length}: {text_allowed(parameter, may_begin_with_hyphen=free)}",
            )
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = parameter.min, parameter.max
        if (low is not None and value < low) or (high is not None and value > high) or not math.isfinite(value):
            bounds = [
                f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
            ]
            raise ConfigError(f"{where}.default", value, " and ".join(["expected a finite number", *bounds]))


def _check_outputs(command: CommandConfig, words: Sequence[Word], key: str) -> None:
    for number, pattern in enumerate(command.outputs):
        if not _PATTERN.fullmatch(pattern) or pattern.startswith("."):
            raise ConfigError(
                f"{key}.outputs[{number}]",
                pattern,
                "expected 1 to 200 letters, digits, space and ._()+=@-*?[]!, not starting with a dot, such as *.mp4",
            )
    named = [hole.name for word in words for hole in template.holes(word) if hole.is_output]
    for name in named:
        if command.outputs and not any(fnmatch.fnmatchcase(name, pattern) for pattern in command.outputs):
            raise ConfigError(f"{key}.outputs", list(command.outputs), f"expected a pattern for {{output:{name}}}, too")


def _check_rest(command: CommandConfig, key: str) -> None:
    for name, value in command.env.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{key}.env.{name}", value, "expected a name of letters, digits and _, not starting with a digit"
            )
        if name.startswith("EDGE_"):
            raise ConfigError(f"{key}.env.{name}", value, "expected another name: EDGE_* are the board's own")
        if "\0" in value:
            raise ConfigError(f"{key}.env.{name}", value, "expected text without NUL characters")
    for field in ("progress", "progress_total"):
        pattern = getattr(command, field)
        if isinstance(pattern, str):
            try:
                groups = re.compile(pattern).groups
            except re.error as err:
                raise ConfigError(f"{key}.{field}", pattern, f"expected a regular expression: {err}") from err
            if not groups:
                raise ConfigError(f"{key}.{field}", pattern, "expected a regular expression with a group: ([0-9]+)")
    if isinstance(command.progress_total, float) and not 0 < command.progress_total < math.inf:
        raise ConfigError(f"{key}.progress_total", command.progress_total, "expected a number above 0")
    if command.progress_total is not None and command.progress is None:
        raise ConfigError(f"{key}.progress_total", command.progress_total, "allowed only together with `progress`")
    for number, path in enumerate(command.reads):
        pure = PurePosixPath(path)
        if not pure.is_absolute() or ".." in pure.parts or len(pure.parts) < 2 or "\0" in path:
            raise ConfigError(
                f"{key}.reads[{number}]", path, "expected an absolute path below /, without .. and NUL characters"
            )
        if pure.parts[1] in _OWN_FOLDERS or path.rstrip("/") == "/tmp":  # noqa: S108 - it is refused
            raise ConfigError(f"{key}.reads[{number}]", path, "expected a path that the sandbox does not make itself")
    if not command.sandbox and not command.network:
        raise ConfigError(
            f"{key}.network", False, "without a sandbox nothing keeps it from the network: say network: true"
        )
    if not command.sandbox and command.reads:
        raise ConfigError(
            f"{key}.reads", list(command.reads), "only in a sandbox; without one it reads what the worker may"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
