"""Events of a board as lines: what a log or a pipe should hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.model import JobState
from edge.wire import About, Event, JobChange

if TYPE_CHECKING:
    from edge.client import Client
    from edge.model import PowerStatus
    from edge.wire import BrokerView


def lines(client: Client) -> None:
    """Print how the board stands, then a line for each change, for ever. Raises the client's errors."""
    seen: dict[str, tuple[object, ...]] = {}
    with client.event_stream(on_outage=lambda err: output.note(f"{err}; still watching")) as stream:
        stream.open()
        board = client.status()
        _say(board.at, f"power {power_text(board.power)}")
        _say(board.at, f"broker {broker_text(board.broker)}")
        for worker in board.workers:
            _say(board.at, f"worker {worker.name} {worker.state}" + (f": {worker.reason}" if worker.reason else ""))
        while True:
            event = stream.next()
            if event is not None and _is_news(event, seen):
                _say(event.at, text_of(event))


def text_of(event: Event) -> str:
    """One event in words."""
    if event.job is not None:
        return f"job {event.job.id} {job_text(event.job)}"
    if event.power is not None:
        return f"power {power_text(event.power)}"
    if event.worker is not None:
        reason = f": {event.worker.reason}" if event.worker.reason else ""
        if event.worker.wanted is not None:
            return f"workers {event.worker.name}{reason}"
        return f"worker {event.worker.name} {event.worker.state}{reason}"
    if event.broker is not None:
        return f"broker {broker_text(event.broker)}"
    if event.output is not None:
        return f"job {event.output.id} {event.output.stream}: {event.output.text.rstrip()}"
    return f"{event.about}: {event.reason}"


def job_text(job: JobChange) -> str:
    """Kind and state of a job, and what there is to add."""
    text = f"{job.task} {'removed' if job.removed else job.state}"
    if job.cancelling:
        text += ", asked to stop"
    if job.held is not None:
        text += f", held: {job.held.reason}"
    elif job.due_at is not None and job.state is JobState.ACCEPTED:
        text += f", for {output.when(job.due_at)}"
    elif job.progress is not None and job.progress.note:
        text += f": {job.progress.note}"
    if job.error and not job.removed:
        text += f": {job.error}"
    return text


def power_text(power: PowerStatus) -> str:
    """Power with its reason and the rule that ends it."""
    return f"{power.state}: {power.reason}" + (f"; until {power.until}" if power.until else "")


def broker_text(broker: BrokerView) -> str:
    """The broker with its reason."""
    return f"{broker.state}: {broker.reason}" if broker.reason else str(broker.state)


def _is_news(event: Event, seen: dict[str, tuple[object, ...]]) -> bool:
    """False for a job that is only further than before: four times a second is no line each."""
    job = event.job
    if event.about is not About.JOB or job is None:
        return True
    now = (job.state, job.attempts, job.held, job.cancelling, job.removed)
    news = seen.get(job.id) != now
    if job.state.final:
        seen.pop(job.id, None)
    else:
        seen[job.id] = now
    return news


def _say(at: float, text: str) -> None:
    click.echo(output.line(f"{time.strftime('%H:%M:%S', time.localtime(at))} {text}"))
