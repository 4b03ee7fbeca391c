"""`edge list`, `edge cancel`, `edge reprioritise` and `edge rm`, which work on several jobs at once."""

from __future__ import annotations

from collections.abc import Callable

import click

from edge.cli import output
from edge.cli.completion import job_ids, task_names
from edge.cli.session import Session, common, pass_session
from edge.core.errors import EdgeError

_STATES = ["accepted", "queued", "running", "retrying", "succeeded", "failed", "cancelled"]


@click.command("list")
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help=f"One of {', '.join(_STATES)}.")
@click.option("--task", metavar="TASK", help="List only jobs of this kind.", shell_complete=task_names)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="At most N jobs.")
@click.option("--all", "everything", is_flag=True, help="List all jobs.")
@common
@pass_session
def list_jobs(session: Session, *, state: str | None, task: str | None, limit: int, everything: bool) -> int:
    """List jobs, newest first. With --json there is one document a line."""
    with session.client() as client:
        jobs = client.list(state=state, task=task, limit=None if everything else limit)
        if session.as_json:
            for job in jobs:
                output.document(job)
            return 0
        rows = ((j.id, j.task, str(j.state), output.when(j.accepted_at), j.error or j.waiting) for j in jobs)
        if not output.table(("ID", "TASK", "STATE", "ACCEPTED", ""), rows):
            output.note("no jobs")
    return 0


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=job_ids)
@common
@pass_session
def cancel(session: Session, *, ids: tuple[str, ...]) -> int:
    """Ask the open jobs ID... to stop. The results of ended jobs are not changed."""
    with session.client() as client:
        return _each(session, ids, client.cancel, "asked to stop")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=job_ids)
@click.argument("priority", type=click.IntRange(0, 9), metavar="0-9")
@common
@pass_session
def reprioritise(session: Session, *, ids: tuple[str, ...], priority: int) -> int:
    """Give the open jobs ID... another priority, 0 to 9. Higher ones start first; 5 is the default.

    A job that is queued at the broker already keeps its place there.
    """
    with session.client() as client:
        return _each(session, ids, lambda job_id: client.reprioritise(job_id, priority), f"has priority {priority}")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=job_ids)
@common
@pass_session
def rm(session: Session, *, ids: tuple[str, ...]) -> int:
    """Remove the ended jobs ID... with their results and files, for good."""
    with session.client() as client:
        return _each(session, ids, client.remove, "removed")


def _each(session: Session, ids: tuple[str, ...], act: Callable[[str], object], done: str) -> int:
    """Call `act` for each job, and return the exit code. An error is written, and the other jobs are still done.

    Raises an error that would hit every job: the gateway is unreachable, or the token is not allowed.
    """
    code = 0
    for job_id in dict.fromkeys(ids):
        try:
            act(job_id)
        except EdgeError as err:
            if err.exit_code in (3, 5):  # unreachable, or not allowed
                raise
            code = code or err.exit_code
            if session.as_json:
                output.document({"id": job_id, "done": False, "error": str(err)})
            else:
                output.note(f"edge: {err}")
        else:
            output.document({"id": job_id, "done": True}) if session.as_json else click.echo(f"{job_id} {done}")
    return code
