"""`edge tasks` lists the kinds of job of a board, or explains one kind."""

from __future__ import annotations

import difflib

import click

from edge.cli import output
from edge.cli.completion import task_names
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UnknownTask
from edge.core.text import duration, size
from edge.core.values import JsonObject


@click.command()
@click.argument("name", required=False, shell_complete=task_names)
@common
@pass_session
def tasks(session: Session, *, name: str | None) -> int:
    """List the kinds of job of the board. With NAME, show what this kind does and its arguments."""
    with session.client() as client:
        catalogue = client.tasks()
    if name is None:
        if session.as_json:
            output.document(catalogue)
            return 0
        output.table(
            ("TASK", "ARGUMENTS", "WHAT IT DOES"),
            [(task.name, _signature(task.positional, task.schema), task.summary) for task in catalogue.tasks],
        )
        for module, why in catalogue.errors.items():
            output.note(f"edge: task module {module} cannot be used: {why}")
        return 0
    found = next((task for task in catalogue.tasks if task.name == name), None)
    if found is None:
        names = [task.name for task in catalogue.tasks]
        raise UnknownTask(name, difflib.get_close_matches(name, names, n=3) or names)
    if session.as_json:
        output.document(found)
        return 0
    click.echo(f"{found.name} {_signature(found.positional, found.schema)}\n")
    click.echo(output.shown(found.description or found.summary) + "\n")
    for argument, schema in found.schema.get("properties", {}).items():
        what = f"  {schema['description']}" if schema.get("description") else ""
        click.echo(output.shown(f"  {argument}: {_type(schema)}{what}"))
    output.facts(
        [
            ("\npower", found.power.value),
            ("retries", str(found.retries)),
            ("limit", duration(found.time_limit_s, fine=True) if found.time_limit_s else "that of the board, if any"),
            ("files", ", ".join(f"{name} (at most {size(most)})" for name, most in (found.inputs or {}).items())),
            ("scope", found.scope),
            ("module", found.module),
        ]
    )
    return 0


def _signature(positional: tuple[str, ...], schema: JsonObject) -> str:
    """Return the arguments as words of `edge submit`: optional ones in brackets, named-only ones as options."""
    required = set(schema.get("required", ()))
    words = []
    for name in schema.get("properties", {}):
        word = name.upper() if name in positional else f"--kwarg {name}=..."
        words.append(word if name in required else f"[{word}]")
    return " ".join(words)


def _type(schema: object) -> str:
    """Return a JSON Schema in a few words."""
    if not isinstance(schema, dict):
        return "anything"
    if options := schema.get("anyOf"):
        text = " or ".join(map(_type, options))
    elif "enum" in schema:
        text = "one of " + ", ".join(map(str, schema["enum"]))
    else:
        names = {"string": "text", "integer": "whole number", "array": "list", "object": "keys and values"}
        kind = str(schema.get("type", "anything"))
        text = names.get(kind, kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        text += f" {'' if low is None else f'from {low} '}{'' if high is None else f'to {high}'}".rstrip()
    if "default" in schema:
        import json  # only loaded to show a default

        text += f" (default {json.dumps(schema['default'])})"
    return text
