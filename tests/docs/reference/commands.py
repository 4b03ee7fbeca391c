"""Makes the reference of the commands of `edge`, from click."""

from __future__ import annotations

from collections.abc import Iterator

import click

from edge.cli.main import COMMANDS, cli
from tests.docs.generated import table


def overview() -> str:
    """Return a table of all commands and sub-commands."""
    rows = ((f"`{_usage(each, inside)}`", _about(each)) for _, each, inside in _every())
    return table(("command", "what it does"), rows)


def details() -> str:
    """Return a section for each command with its options; it is too long for a page in the repository."""
    root = click.Context(cli, info_name="edge")
    text = f"\n## Options before the command\n\n{_options(cli, root)}"
    for path, each, inside in _every():
        level = "##" if path in COMMANDS else "###"
        text += f"\n{level} edge {path}\n\n`{_usage(each, inside)}`\n\n{_about(each)}\n\n{_options(each, inside)}"
    return text


def _every() -> Iterator[tuple[str, click.Command, click.Context]]:
    root = click.Context(cli, info_name="edge")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        yield from _all(command, name, root)


def _all(
    command: click.Command, path: str, parent: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=path.rsplit(maxsplit=1)[-1], parent=parent)
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _all(inner, f"{path} {name}", context)


def _usage(command: click.Command, context: click.Context) -> str:
    pieces = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "").split()
    return " ".join([context.command_path, *pieces])


def _about(command: click.Command) -> str:
    paragraph = (command.help or "").replace("\f", "").partition("\n\n")[0]
    return " ".join(paragraph.replace("\b", "").split())


def _options(command: click.Command, context: click.Context) -> str:
    rows = [
        (f"`{record[0]}`", record[1])
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden and "--help" not in parameter.opts
        if (record := parameter.get_help_record(context))
    ]
    return table(("option", "meaning"), rows) if rows else ""
