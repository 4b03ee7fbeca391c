"""`edge version` prints the versions of edge and Python."""

from __future__ import annotations

import platform

import click

from edge import __version__
from edge.cli import output
from edge.cli.session import Session, common, pass_session


@click.command(short_help="Print the version.")
@common
@pass_session
def version(session: Session) -> None:
    """Print the version."""
    if session.as_json:
        output.document({"edge": __version__, "python": platform.python_version()})
    else:
        click.echo(f"edge {__version__} (Python {platform.python_version()})")
