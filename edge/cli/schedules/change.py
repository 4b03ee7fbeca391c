"""`edge schedule add`, `rm`, `run`, `pause` and `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.board.power import Duration
from edge.cli.completion import task_names
from edge.cli.jobs.submit import ArgumentsCommand, arguments
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError

if TYPE_CHECKING:
    from edge.wire import ScheduleView


@click.command(cls=ArgumentsCommand)
@click.argument("name")
@click.argument("task", shell_complete=task_names)
@click.argument("args", nargs=-1)
@click.option("--kwarg", "kwargs", multiple=True, metavar="NAME=VALUE", help="An argument by name; may be repeated.")
@click.option("--json-args", is_flag=True, help="Each ARG and VALUE is JSON, whatever the task expects.")
@click.option("--cron", metavar="CRON", help="Five fields in quotes, or a name such as @daily.")
@click.option("--every", type=Duration(), metavar="TIME", help="In place of --cron: an interval (30s, 20m, 6h).")
@click.option("--timezone", metavar="ZONE", help="IANA name, such as Europe/Berlin  [default: the board's]")
@click.option(
    "--missed",
    type=click.Choice(["last", "all", "skip"]),
    default="last",
    show_default=True,
    help="Which slots to run that were missed while the board was off: the last one, all, or none.",
)
@click.option("--within", type=Duration(), metavar="TIME", help="Skip a slot that would start more than TIME late.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue", "allow"]),
    default="skip",
    show_default=True,
    help="If an earlier job has not ended: skip the slot, queue its job behind the earlier one, or run both.",
)
@click.option("--jitter", type=Duration(), metavar="TIME", help="Start each slot later, by a fixed part of TIME.")
@click.option("--paused", is_flag=True, help="Run nothing until `edge schedule resume`.")
@click.option(
    "--power", type=click.Choice(["always", "normal", "surplus"]), metavar="CLASS", help="See `edge submit --help`."
)
@click.option("--priority", type=click.IntRange(0, 9), metavar="N", help="0 to 9, higher first; default 5.")
@click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="Run it again up to N times if it fails.")
@click.option("--time-limit", type=Number(min=0, min_open=True), metavar="SECONDS", help="End a job that runs longer.")
@click.option("--deadline", type=Duration(), metavar="TIME", help="See `edge submit --help`.")
@click.option("--max-temp", type=Number(20, 125), metavar="C", help="Wait while the board is hotter than this, in °C.")
@click.option(
    "--file", "files", multiple=True, metavar="NAME=PATH", help="An input file for each job; may be repeated."
)
@common
@pass_session
def add(
    session: Session,
    *,
    name: str,
    task: str,
    args: tuple[str, ...],
    kwargs: tuple[str, ...],
    json_args: bool,
    cron: str | None,
    every: float | None,
    timezone: str | None,
    missed: str,
    within: float | None,
    overlap: str,
    jitter: float | None,
    paused: bool,
    power: str | None,
    priority: int | None,
    retries: int | None,
    time_limit: float | None,
    deadline: float | None,
    max_temp: float | None,
    files: tuple[str, ...],
) -> int:
    """Make or change the schedule NAME. It submits a job of the kind TASK again and again.

    \b
    edge schedule add backup solve 1 "What is 6 times 7?" --cron "30 2 * * *"
    """
    from edge.cli.jobs.files import named as named_files
    from edge.cli.jobs.files import uploaded
    from edge.model import Missed, Overlap, Power, Schedule  # like HTTP below, not loaded for --help

    if (cron is None) == (every is None):
        raise UsageError("--cron, --every: give exactly one of them")
    if every is not None and every != int(every):
        raise UsageError(f"--every {every:g}s: expected whole seconds")
    paths = named_files(files)
    with session.client() as client:
        placed, named = arguments(client, task, args, kwargs, json_args=json_args)
        schedule = Schedule(
            task=task,
            args=placed,
            kwargs=named,
            power=Power(power) if power else None,
            priority=priority,
            retries=retries,
            time_limit_s=time_limit,
            deadline_s=deadline,
            max_temp_c=max_temp,
            cron=cron,
            every_s=int(every) if every is not None else None,
            timezone=timezone,
            missed=Missed(missed),
            within_s=within,
            overlap=Overlap(overlap),
            jitter_s=jitter or 0.0,
            paused=paused,
            files=uploaded(client, paths),
        )
        view = client.schedules.put(name, schedule)
    return _shown(session, view)


@click.command()
@click.argument("name")
@common
@pass_session
def rm(session: Session, *, name: str) -> int:
    """Remove the schedule NAME. The jobs that it has made stay."""
    with session.client() as client:
        client.schedules.remove(name)
    output.document({"name": name, "removed": True}) if session.as_json else click.echo(f"{name} removed")
    return 0


@click.command()
@click.argument("name")
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key twice makes one job.")
@common
@pass_session
def run(session: Session, *, name: str, key: str | None) -> int:
    """Make a job of the schedule NAME now, outside its slots. Its id is printed."""
    with session.client() as client:
        job = client.schedules.run(name, key=key)
    output.document(job) if session.as_json else click.echo(job.id)
    return 0


@click.command()
@click.argument("name")
@common
@pass_session
def pause(session: Session, *, name: str) -> int:
    """Pause the schedule NAME. Its slots are skipped until `edge schedule resume`."""
    with session.client() as client:
        view = client.schedules.pause(name)
    return _shown(session, view)


@click.command()
@click.argument("name")
@common
@pass_session
def resume(session: Session, *, name: str) -> int:
    """End the pause of the schedule NAME. Its slots run again."""
    with session.client() as client:
        view = client.schedules.resume(name)
    return _shown(session, view)


def _shown(session: Session, view: ScheduleView) -> int:
    output.document(view) if session.as_json else click.echo(f"{view.name}: {view.sentence}")
    return 0
