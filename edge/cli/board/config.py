"""`edge config`: check, show and explain the board's configuration."""

from __future__ import annotations

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session


@click.group()
def config() -> None:
    """Check and show the board's configuration: edge.yaml, with EDGE_* variables over it."""


@config.command()
@common
@pass_session
def check(session: Session) -> int:
    """Say whether the configuration can be used; exits 2 with the key, its value and what is allowed if not."""
    from edge.power.policy.rules import from_config  # loads every kind of source that the file names

    loaded = session.board()
    from_config(loaded.config.power)  # a kind from elsewhere may declare what the governor would refuse
    where = str(loaded.path) if loaded.path else "no file; defaults"
    variables = sorted({origin for origin in loaded.origins.values() if origin.startswith("EDGE_")})
    if session.as_json:
        output.document({"ok": True, "path": loaded.path, "variables": variables})
    else:
        click.echo(f"ok: {where}" + (f", and {', '.join(variables)}" if variables else ""))
    return 0


@config.command()
@common
@pass_session
def show(session: Session) -> int:
    """Show every key with the value in force, and where it comes from: default, file or variable."""
    rows = list(session.board().rows())
    if session.as_json:
        output.document([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
    else:
        output.table(("KEY", "VALUE", "FROM"), [(key, _text(value), origin) for key, value, origin in rows])
    return 0


@config.command()
def example() -> int:
    """Print a commented edge.yaml: every key with its default."""
    from edge.config.example import example as text  # only this command looks at every record

    click.echo(text(), nl=False)
    return 0


def _text(value: object) -> str:
    """A value as it could stand in the file."""
    if isinstance(value, str) and value:
        return value
    import json  # one line of YAML is JSON

    return json.dumps(value, default=str)
