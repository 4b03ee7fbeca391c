"""`edge watch`: what happens on the board, as it happens."""

from __future__ import annotations

import sys

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session


@click.command()
@common
@pass_session
def watch(session: Session) -> int:
    """Show power, what runs, what waits and why, and the last results, until Ctrl-C.

    Without a terminal it prints a line for each change; with --json each event as a line of JSON.
    """
    with session.client() as client:
        try:
            if session.as_json:
                for event in client.events():
                    output.document(event)
            elif sys.stdout.isatty():
                from edge.cli.jobs.live import live  # draws: rich is felt on a Pi Zero

                live(client)
            else:
                from edge.cli.jobs.lines import lines

                lines(client)
        except KeyboardInterrupt:
            pass  # the way to leave
    return 0
