"""`edge status` shows the state of the board, or of one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.completion import job_ids
from edge.cli.jobs.tree import children_line, show_tree
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.text import duration, size

if TYPE_CHECKING:
    from edge.model import Energy, InputFile, PowerStatus, WorkerStatus
    from edge.wire import BrokerView, ForecastView, JobView, StatusView


_USUAL = 5  # the default priority


@click.command()
@click.argument("job_id", metavar="[ID]", required=False, shell_complete=job_ids)
@click.option("--tree", is_flag=True, help="Show the jobs that ID spawned and those that run after it, and so on.")
@common
@pass_session
def status(session: Session, *, job_id: str | None, tree: bool) -> int:
    """Show the state of the board. With ID, show the state of that job and why it waits."""
    if tree and job_id is None:
        raise UsageError("--tree needs the ID of a job")
    with session.client() as client:
        if tree and job_id is not None:
            show_tree(client, client.job(job_id), as_json=session.as_json)
        elif job_id is None:
            board = client.status()
            output.document(board) if session.as_json else _board(board)
        else:
            job = client.job(job_id)
            output.document(job) if session.as_json else _job(job)
    return 0


def _board(board: StatusView) -> None:
    up = f", up {duration(board.at - board.started_at, fine=True)}" if board.at > board.started_at > 0 else ""
    free = f", {size(board.free_bytes)} free" if board.free_bytes is not None else ""
    jobs = ", ".join(f"{count} {state}" for state, count in board.jobs.items() if count) or "none"
    output.facts(
        [
            ("board", f"{board.host or 'unnamed'}: edge {board.version}{up}{free}"),
            ("power", _power(board.power)),
            ("expected", output.when(board.power.resumes_at)),
            *output.plan(board.power.plan),
            ("forecast", _forecast(board.forecast)),
            ("awake", output.when(board.awake_at)),
            ("broker", _broker(board.broker)),
            *(("worker", _worker(worker, board.at)) for worker in board.workers),
            *(("scaling", f"{each.name}: {each.why}") for each in board.scaling),
            *([] if board.workers else [("worker", "no worker runs: jobs are kept, but none starts")]),
            *(("node", f"{node} sleeps, and is awake again at {output.when(at)}") for node, at in board.away.items()),
            ("jobs", jobs),
            ("tasks", f"{board.tasks} kinds; `edge tasks` lists them"),
            *(("problem", f"task module {module}: {why}") for module, why in board.task_errors.items()),
            *(("problem", sentence) for sentence in board.unserved),
            *(("warning", warning) for warning in board.warnings),
        ]
    )
    if board.power.readings:
        click.echo()
        output.readings(board.power.readings)


def _forecast(forecast: ForecastView | None) -> str:
    """Return the accuracy of the forecast and of the start times, or an empty text without a forecast."""
    if forecast is None:
        return ""
    parts = [f"{forecast.days} days learned"]
    if forecast.error_wh is not None and forecast.as_yesterday_wh is not None:
        yesterday = f"{forecast.as_yesterday_wh:.1f} Wh if each day is forecast as the day before"
        parts.append(f"mean error of a day's energy {forecast.error_wh:.1f} Wh ({yesterday})")
    if forecast.outside_wh is not None:
        parts.append(f"mean error of the external forecast {forecast.outside_wh:.1f} Wh")
    if forecast.starts_held is not None:
        parts.append(f"{forecast.starts_held:.0%} of {forecast.starts} start times were right (80 % is expected)")
    return ", ".join(parts)


def _power(power: PowerStatus) -> str:
    return f"{power.state}: {power.reason}" + (f"; until {power.until}" if power.until else "")


def _broker(broker: BrokerView) -> str:
    return f"{broker.state}: {broker.reason}" if broker.reason else str(broker.state)


def _worker(worker: WorkerStatus, now: float) -> str:
    text = f"{worker.name}: {worker.state}"
    if worker.reason:
        text += f": {worker.reason}"
    if worker.jobs or worker.slots > 1:
        return text + _many(worker, now)
    if worker.job is not None:
        since = max(0.0, now - worker.job.started_at) if now else 0.0
        text += f" {worker.job.task} {worker.job.id} for {duration(since, fine=True)}"
        if worker.job.held is not None:
            text += f", held: {worker.job.held.reason}"
        done = worker.job.progress
        if done is not None and done.total > 0:
            text += f" ({done.done / done.total:.0%})"
    return text


def _many(worker: WorkerStatus, now: float) -> str:
    """Return the number of jobs of a worker of threads, their kinds, and the oldest job."""
    text = f" {len(worker.jobs)} of {worker.slots} jobs at once"
    if not worker.jobs:
        return text
    kinds: dict[str, int] = {}
    for job in worker.jobs:
        kinds[job.task] = kinds.get(job.task, 0) + 1
    text += ": " + ", ".join(f"{count} {task}" for task, count in sorted(kinds.items(), key=lambda each: -each[1]))
    if held := [job.held for job in worker.jobs if job.held is not None]:
        text += f", {len(held)} held: {held[0].reason}"
    oldest = min(worker.jobs, key=lambda job: job.started_at)
    since = max(0.0, now - oldest.started_at) if now else 0.0
    return text + f"; the oldest is {oldest.id}, for {duration(since, fine=True)}"


def _energy(energy: Energy) -> str:
    text = f"{energy.joules:.3g} J {energy.metering}, {duration(energy.cpu_seconds, fine=True)} of CPU"
    if energy.held_s:
        text += f", held for {duration(energy.held_s, fine=True)}"
    if energy.max_c is not None:
        text += f", at most {energy.max_c:.0f} °C"
    return text + (", throttled" if energy.throttled else "")


def _job(job: JobView) -> None:
    progress = ""
    if job.progress is not None:
        share = f"{job.progress.done / job.progress.total:.0%} " if job.progress.total > 0 else ""
        progress = f"{share}{job.progress.note}".strip()
    output.facts(
        [
            ("id", job.id),
            ("task", job.task),
            ("state", f"{job.state}, asked to stop" if job.cancelling else str(job.state)),
            ("waiting", job.waiting),
            ("ahead", "" if job.ahead is None else str(job.ahead)),
            ("progress", progress),
            ("error", job.error),
            ("energy", "" if job.energy is None else _energy(job.energy)),
            ("power", str(job.power)),
            ("attempts", f"{job.attempts}, retries {job.retries}" if job.retries else str(job.attempts or "")),
            ("limit", duration(job.time_limit_s, fine=True) if job.time_limit_s else ""),
            ("expected", output.when(job.resumes_at)),
            ("deadline", output.when(job.deadline_at)),
            ("max temp", f"{job.max_temp_c:g} °C" if job.max_temp_c is not None else ""),
            ("files", ", ".join(f"{name}: {_file(file)}" for name, file in job.files.items())),
            ("worker", job.worker),
            ("submitter", job.submitter),
            ("priority", str(job.priority) if job.priority != _USUAL else ""),
            ("after", " ".join(job.after)),
            ("followers", str(job.followers or "")),
            ("parent", job.parent),
            ("children", children_line(job)),
            ("accepted", output.when(job.accepted_at)),
            ("due", output.when(job.due_at)),
            ("started", output.when(job.started_at)),
            ("finished", output.when(job.finished_at)),
        ]
    )


def _file(file: InputFile) -> str:
    return f"{file.name or file.sha256[:8]} ({size(file.bytes or 0)})"
