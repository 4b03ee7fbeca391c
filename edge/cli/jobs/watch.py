"""`edge watch` shows what happens on the board, live."""

from __future__ import annotations

import sys

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session


@click.command()
@common
@pass_session
def watch(session: Session) -> int:
    """Show power, running jobs, waiting jobs with the reason, and the last results, until Ctrl-C.

    If stdout is not a terminal, a line is printed for each change; with --json, each event is a line of JSON.
    """
    with session.client() as client:
        try:
            if session.as_json:
                for event in client.events():
                    output.document(event)
            elif sys.stdout.isatty():
                from edge.cli.jobs.live import live  # loads rich, which is slow on a Pi Zero

                live(client)
            else:
                from edge.cli.jobs.lines import lines

                lines(client)
        except KeyboardInterrupt:
            pass  # Ctrl-C ends the command
    return 0
