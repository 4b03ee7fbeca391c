"""`edge wait` waits until jobs have ended."""

from __future__ import annotations

import time

import click

from edge.cli import output
from edge.cli.completion import job_ids
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.text import duration


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=job_ids)
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="Wait at most this long (exit 6).")
@common
@pass_session
def wait(session: Session, *, ids: tuple[str, ...], timeout: float | None) -> int:
    """Wait until the jobs ID... have ended, also through a power cut of the board.

    Exits 1 if one of them failed or was cancelled.
    """
    from edge.cli.jobs.progress import waited  # not loaded for --help

    until = None if timeout is None else time.monotonic() + timeout
    code = 0
    with session.client() as client:
        for job_id in ids:
            left = None if until is None else max(0.0, until - time.monotonic())
            result = waited(session, client, job_id, timeout=left)
            if session.as_json:
                output.document(result)
            else:
                reason = f": {result.failure.message}" if result.failure else ""
                took = f" in {duration(result.seconds, fine=True)}" if result.seconds else ""
                click.echo(output.line(f"{result.id} {result.state}{took}{reason}"))
            if result.failure:
                code = 1
    return code
