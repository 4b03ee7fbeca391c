"""`python -m edge.up`: as `edge up`, without the rest of the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import EdgeError
from edge.up.main import DEFAULT_ROOT, run, stop


@click.command()
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_ROOT, show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway.")
@click.option("--broker-port", type=click.IntRange(1, 65533), help="Port of the broker; it takes the next two as well.")
@click.option("--rabbitmq-server", type=click.Path(path_type=Path), help="Another rabbitmq-server than the installed.")
@click.option("--stop", "ending", is_flag=True, help="End the stack that runs on this root.")
def main(root: Path, port: int | None, broker_port: int | None, rabbitmq_server: Path | None, *, ending: bool) -> None:
    """Run broker, gateway, governor and worker in the foreground until Ctrl-C."""
    try:
        if ending:
            click.echo(f"stopped the stack on {root}" if stop(root) else f"no stack runs on {root}")
        else:
            run(root, port=port, broker_port=broker_port, server=rabbitmq_server)
    except EdgeError as err:
        click.echo(f"edge up: {err}", err=True)
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main(prog_name="edge up")
