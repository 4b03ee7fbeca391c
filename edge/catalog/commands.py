"""Makes kinds of job from `commands:` in `edge.yaml`. The signature of a command comes from its `parameters`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge.catalog.signature import ALLOWED, Parameter, Signature
from edge.config import CommandConfig, Config
from edge.config.command_check import may_begin_with_hyphen, text_allowed, text_pattern
from edge.config.commands import ANY, ParameterConfig
from edge.core.values import Hint
from edge.model import Pool

#: Name of the argument that holds the `Run` object of a command. No parameter can have this name.
HOST = "@run"
#: Largest number and length of the arguments of a program that `allow_any` runs. The kernel's limit for one argument is
#: 128 KiB, and a character has up to 4 bytes.
MOST_WORDS, LONGEST_WORD = 1000, 30_000

_Word = Annotated[str, Meta(max_length=LONGEST_WORD, pattern=r"^[^\x00]*$")]
_Argv = Annotated[
    list[_Word],
    Meta(min_length=1, max_length=MOST_WORDS, description="The program and its arguments, one list item for each."),
]


def commands_of(config: Config) -> tuple[CommandConfig, ...]:
    """Return all commands of a board, including the one that runs any program if the owner allows it."""
    return (*config.commands, any_program()) if config.allow_any else config.commands


def any_program() -> CommandConfig:
    """Return the command whose program and arguments come from the submitter."""
    about = "Run any program of this board"
    return CommandConfig(name=ANY, run=("{argv}",), about=about, outputs=(), scope="run", pool=Pool.MAIN)


def is_any(command: CommandConfig) -> bool:
    """Return True for the command whose program comes from the submitter."""
    return command.run == ("{argv}",)


def inputs_of(command: CommandConfig) -> dict[str, int] | None:
    """Return the largest size in bytes of each input file by its name, or None if the command takes any files."""
    return None if is_any(command) else {name: each.max_bytes for name, each in command.inputs.items()}


def signature_of(command: CommandConfig) -> Signature:
    """Return the signature of a command: the arguments that a submitter passes."""
    if is_any(command):
        return Signature(command.name, (Parameter("argv", _Argv, required=True),), job_parameter=HOST)
    parameters = tuple(
        Parameter(
            name,
            _hint(parameter, may_begin_with_hyphen=may_begin_with_hyphen(command, name)),
            required=parameter.default is None,
            default=parameter.default,
        )
        for name, parameter in command.parameters.items()
    )
    return Signature(command.name, parameters, job_parameter=HOST)


def description_of(command: CommandConfig) -> str:
    """Return the description of a command for people."""
    about = command.about or f"Run {command.run[0]}"
    if is_any(command):
        return about
    return f"{about}\n\nRuns: {' '.join(command.run)}"


def _hint(parameter: ParameterConfig, *, may_begin_with_hyphen: bool) -> Hint:
    about = parameter.about or None
    if parameter.type == "bool":
        return Annotated[bool, Meta(description=about)]
    if parameter.type == "int":
        low, high = (None if each is None else int(each) for each in (parameter.min, parameter.max))
        return Annotated[int, Meta(ge=low, le=high, description=about)]
    if parameter.type == "float":
        return Annotated[float, Meta(ge=parameter.min, le=parameter.max, description=about)]
    if parameter.choices:
        return Annotated[Literal[parameter.choices], Meta(description=about)]
    pattern = text_pattern(parameter, may_begin_with_hyphen=may_begin_with_hyphen)
    allowed = text_allowed(parameter, may_begin_with_hyphen=may_begin_with_hyphen)
    return Annotated[
        str,
        Meta(
            max_length=parameter.max_length,
            pattern=pattern,
            description=about,
            extra_json_schema={ALLOWED: allowed},
        ),
    ]
