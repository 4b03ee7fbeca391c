"""The options that all commands share: the gateway's address and token, the configuration file, the output format."""

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
    """Holds the options that every command has. They may be written before or after the command."""

    url: str | None = None
    token_file: Path | None = None
    config: Path | None = None
    as_json: bool = False
    debug: bool = False

    def client(self, *, quick: bool = False, certificate: Path | None = None) -> Client:
        """Return a client of the gateway. Raises ConfigError.

        Args:
            quick: do not try again; wait at most 0.5 s for a connection and 1 s for an answer.
            certificate: the gateway must show exactly this certificate; neither its issuer nor its names are checked.
        """
        from dataclasses import replace

        from edge.client import Client, Settings  # loads HTTP, which only commands that talk to a gateway need

        settings = Settings.find(url=self.url, token_file=self.token_file)
        settings = replace(settings, certificate=certificate)
        if quick:
            settings = replace(settings, patience_s=0.0, connect_s=0.5, read_s=1.0)
        reported: list[str] = []

        def on_retry(err: EdgeError) -> None:
            # Written once, and only for a person. A script gets the error at the end, if the retries do not succeed.
            if not reported and not self.as_json and sys.stderr.isatty():
                reported.append(str(err))
                click.echo(f"edge: {err}; trying again for up to {settings.patience_s:g} s", err=True)

        return Client(settings=settings, on_retry=on_retry)

    def board(self) -> Loaded:
        """Return the board's configuration. Raises ConfigError."""
        from edge.config import load  # loads YAML and the records, which only commands on the board need

        return load(self.config)


def common(function: F) -> F:
    """Accept the options of `edge` itself after the command too. Only `--json` is shown in the help of the command."""

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
