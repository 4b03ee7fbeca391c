"""What one run of a command was told: where the gateway is, which configuration, how to write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from edge.client import Client
    from edge.config import Loaded
    from edge.core.errors import EdgeError

F = TypeVar("F", bound=Callable[..., object])


@dataclass
class Session:
    """The options every command has, wherever on the line they stand."""

    url: str | None = None
    token_file: Path | None = None
    config: Path | None = None
    as_json: bool = False
    debug: bool = False

    def client(self, *, quick: bool = False, certificate: Path | None = None) -> Client:
        """The gateway's client; a `quick` one answers within a second or not at all. Raises ConfigError.

        `certificate` is that of the board's own gateway, whoever vouches for it and whatever names it is for.
        """
        from dataclasses import replace

        from edge.client import Client, Settings  # only commands that talk to a gateway pay for HTTP

        settings = Settings.find(url=self.url, token_file=self.token_file)
        settings = replace(settings, certificate=certificate)
        if quick:
            settings = replace(settings, patience_s=0.0, connect_s=0.5, read_s=1.0)
        reported: list[str] = []

        def on_retry(err: EdgeError) -> None:
            # Once, and only to a person: a script reads the error at the end, if there is one.
            if not reported and not self.as_json and sys.stderr.isatty():
                reported.append(str(err))
                click.echo(f"edge: {err}; trying again for up to {settings.patience_s:g} s", err=True)

        return Client(settings=settings, on_retry=on_retry)

    def board(self) -> Loaded:
        """The board's configuration. Raises ConfigError."""
        from edge.config import load  # YAML and the records are for commands on the board only

        return load(self.config)


def common(function: F) -> F:
    """Let the options of `edge` itself stand after the command too; `--json` shows in its help."""

    def keep(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
        def callback(ctx: click.Context, _: click.Parameter, value: object) -> None:
            if value not in (None, False):
                setattr(ctx.find_object(Session), name, value)

        return callback

    path = click.Path(path_type=Path)
    options = [
        click.option("--json", is_flag=True, expose_value=False, callback=keep("as_json"), help="Write JSON."),
        click.option("--url", hidden=True, expose_value=False, callback=keep("url")),
        click.option("--token-file", type=path, hidden=True, expose_value=False, callback=keep("token_file")),
        click.option("--config", type=path, hidden=True, expose_value=False, callback=keep("config")),
        click.option("--debug", is_flag=True, hidden=True, expose_value=False, callback=keep("debug")),
    ]
    for option in reversed(options):
        function = option(function)
    return function


pass_session = click.make_pass_decorator(Session)
