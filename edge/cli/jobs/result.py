"""`edge result` prints the value that a job returned, and fetches its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.completion import job_ids
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.text import size

if TYPE_CHECKING:
    from edge.model import Result


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=job_ids)
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Save the files of the job in DIR."
)
@click.option("--wait", "wait_for_it", is_flag=True, help="Wait until the job has ended.")
@click.option(
    "--timeout",
    type=Number(min=0),
    metavar="SECONDS",
    help="Wait at most this long; exit with 6 if the job has not ended by then.",
)
@click.option("--traceback", is_flag=True, help="Show the traceback of a failed job.")
@common
@pass_session
def result(
    session: Session, *, job_id: str, save: Path | None, wait_for_it: bool, timeout: float | None, traceback: bool
) -> int:
    """Print the value that the job ID returned: text as it is, anything else as JSON.

    Exits 1 if the job failed or was cancelled; the reason goes to stderr, or with --json into the document. Exits 6 if
    the job has not ended.
    """
    with session.client() as client:
        if wait_for_it or timeout is not None:
            from edge.cli.jobs.progress import waited  # only loaded to wait

            found = waited(session, client, job_id, timeout=timeout)
        else:
            found = client.result(job_id)
        saved = []
        if save is not None:
            save.mkdir(parents=True, exist_ok=True)
            saved = [client.download(job_id, file.name, save) for file in found.files]
    return show(session, found, saved=saved, files_requested=save is not None, traceback=traceback)


def show(
    session: Session,
    found: Result,
    *,
    saved: list[Path] | None = None,
    files_requested: bool = False,
    traceback: bool = False,
) -> int:
    """Write a result, and return the exit code for it.

    Args:
        session: decides between text and JSON.
        found: the result.
        saved: paths of the files that were fetched.
        files_requested: True if the files were asked for; otherwise a hint names them.
        traceback: write the traceback of a failed job.
    """
    code = 1 if found.failure else 0
    if session.as_json:
        import msgspec  # only loaded for --json

        output.document(msgspec.to_builtins(found) | ({"saved": saved} if files_requested else {}))
        return code
    if found.failure:
        output.note(f"edge: job {found.id} {found.state}: {output.line(found.failure.message)} ({found.failure.code})")
        if traceback and found.failure.traceback:
            output.note(found.failure.traceback.rstrip())
    else:
        output.value(found.value)
    for path in saved or ():
        output.note(f"saved {path}")
    if found.files and not files_requested:
        files = ", ".join(f"{file.name} ({size(file.size_bytes)})" for file in found.files)
        output.note(f"files: {files}; fetch with: edge result {found.id} --save DIR")
    return code
