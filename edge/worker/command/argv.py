"""Makes the arguments of a program from the command's template and the submitted values. No shell reads them.

The gateway checks each value against the kind's signature. This module checks once more that a value cannot become an
option, because a message may reach the queue without the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from edge.config import CommandConfig
from edge.config.command_check import is_behind_end_of_options
from edge.core import template
from edge.core.template import Hole, Word
from edge.core.values import JsonValue
from edge.model import FailureCode
from edge.worker.command.failure import ProgramFailed


def arguments(
    command: CommandConfig, values: Mapping[str, JsonValue], inputs: Mapping[str, PurePath], folder: PurePath
) -> list[str]:
    """Return the program's arguments without the program itself.

    Args:
        command: the command, which has the template.
        values: the submitted parameters by name.
        inputs: the path of each input, as the program sees it.
        folder: the folder in which the program writes its files, as it sees it.

    Raises:
        ProgramFailed: a value is missing, would become an option, or cannot be an argument.
    """

    def value_of(hole: Hole) -> str:
        return _value(command, hole, values, inputs, folder)

    made = []
    for place, text in enumerate(command.run[1:], 1):
        word = template.parse(text)
        if (chosen := _chosen(command, word, values)) is not None:
            made += [chosen] if chosen else []
            continue
        argument = template.filled(word, value_of)
        if "\0" in argument:
            raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"argument {text!r}: has a NUL character")
        if argument.startswith("-") and not is_behind_end_of_options(command, place):
            # The hyphen comes from the first part of the word that is not empty.
            first = next(part for part in word if template.filled((part,), value_of))
            if isinstance(first, Hole) and not _is_choice(command, first, values):
                raise ProgramFailed(
                    FailureCode.BAD_ARGUMENTS,
                    f"argument {first.name!r} = {argument[:80]!r}: begins with a hyphen, so it would be read as an"
                    " option",
                )
        made.append(argument)
    return made


def _chosen(command: CommandConfig, word: Word, values: Mapping[str, JsonValue]) -> str | None:
    """Return `when_true` or `when_false` if this word of the template is one bool parameter, else None."""
    if len(word) != 1 or not isinstance(word[0], Hole) or word[0].is_output:
        return None
    parameter = command.parameters.get(word[0].name)
    if parameter is None or parameter.type != "bool":
        return None
    return parameter.when_true if _given(command, word[0].name, values) else parameter.when_false


def _given(command: CommandConfig, name: str, values: Mapping[str, JsonValue]) -> JsonValue:
    """Return the submitted value of a parameter, or else its default. Raises ProgramFailed if there is neither."""
    if name in values:
        return values[name]
    default = command.parameters[name].default if name in command.parameters else None
    if default is None:
        raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"argument {name!r} is missing")
    return default


def _is_choice(command: CommandConfig, hole: Hole, values: Mapping[str, JsonValue]) -> bool:
    """Return True if the value is one of the `choices` of the command's owner, which may be options."""
    parameter = command.parameters.get(hole.name)
    return parameter is not None and _given(command, hole.name, values) in parameter.choices


def _value(
    command: CommandConfig,
    hole: Hole,
    values: Mapping[str, JsonValue],
    inputs: Mapping[str, PurePath],
    folder: PurePath,
) -> str:
    if hole.is_output:
        return str(folder / hole.name)
    if hole.name in inputs:
        return str(inputs[hole.name])
    value = _given(command, hole.name, values)
    if isinstance(value, str):
        return value
    return repr(value)  # a number, written without the locale and without loss of precision
