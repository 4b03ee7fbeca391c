"""`edge up`, `edge worker` and `edge gateway` run the processes of a board.

Each command imports the libraries of its process only when it runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import click

from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError

_FOLDER = click.Path(path_type=Path, file_okay=False)


def entry(part: str, command: str, *, name: str = "main") -> Callable[..., int | None]:
    """Return the function `name` of the module `part`. Raises UsageError if its libraries are not installed."""
    try:
        module = importlib.import_module(part)
    except ModuleNotFoundError as err:
        if (err.name or "").partition(".")[0] in {"edge", ""}:
            raise
        hint = f"edge {command} needs the device extra: pip install 'edge-worker[device]' ({err.name} is missing)"
        raise UsageError(hint) from err
    function: Callable[..., int | None] = getattr(module, name)
    return function


@click.command()
@click.option(
    "--root",
    type=_FOLDER,
    default=Path(".edge"),
    show_default=True,
    metavar="DIR",
    help="Folder for all state. Use the same folder again to continue.",
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="Port of the gateway.")
@click.option(
    "--broker-port",
    type=click.IntRange(1, 65533),
    metavar="PORT",
    help="Port of the broker; it uses the next two ports as well.",
)
@click.option(
    "--rabbitmq-server",
    "server",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The program rabbitmq-server to run. [default: the installed one]",
)
@click.option("--stop", "ending", is_flag=True, help="Stop the `edge up` that uses this folder.")
@common
@pass_session
def up(
    session: Session, *, root: Path, port: int | None, broker_port: int | None, server: Path | None, ending: bool
) -> int:
    """Run a private broker, gateway, governor and worker in the foreground. Ctrl-C stops them in order."""
    if session.config is not None:
        raise UsageError("edge up reads DIR/edge.yaml of its --root DIR, not --config")
    if ending:
        ended = entry("edge.up.main", "up", name="stop")(root)
        click.echo(f"stopped the stack on {root}" if ended else f"no stack runs on {root}")
        return 0
    entry("edge.up.main", "up", name="run")(root, port=port, broker_port=broker_port, server=server)
    return 0


@click.command()
@click.option("--all", "every", is_flag=True, help="Run all workers of `workers` in edge.yaml, scaled ones included.")
@common
@pass_session
def worker(session: Session, *, every: bool) -> int:
    """Run the worker, which runs jobs while power allows and writes one durable result for each."""
    if every:
        return int(entry("edge.up.workers", "worker")(session.board()) or 0)
    return int(entry("edge.worker.celery.main", "worker")(session.board()) or 0)


@click.command()
@common
@pass_session
def gateway(session: Session) -> int:
    """Run the gateway, which serves HTTP to the LAN and keeps the ledger of accepted jobs."""
    return int(entry("edge.gateway.main", "gateway")(session.board()) or 0)
