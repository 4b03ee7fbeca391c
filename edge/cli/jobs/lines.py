"""Prints the events of a board as lines, for a pipe or a log."""

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
    """Print the present state of the board, then a line for each change, without end. Raises the client's errors."""
    seen: dict[str, tuple[object, ...]] = {}
    with client.event_stream(on_outage=lambda err: output.note(f"{err}; still watching")) as stream:
        stream.open()
        board = client.status()
        _print(board.at, f"power {power_text(board.power)}")
        _print(board.at, f"broker {broker_text(board.broker)}")
        for worker in board.workers:
            _print(board.at, f"worker {worker.name} {worker.state}" + (f": {worker.reason}" if worker.reason else ""))
        while True:
            event = stream.next()
            if event is not None and _gets_a_line(event, seen):
                _print(event.at, text_of(event))


def text_of(event: Event) -> str:
    """Return an event as a line of text, without its time."""
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
    """Return kind and state of a job, with the reason why it is held, the time at which it is due, or its error."""
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
    """Return the power state with its reason and the rule that ends it."""
    return f"{power.state}: {power.reason}" + (f"; until {power.until}" if power.until else "")


def broker_text(broker: BrokerView) -> str:
    """Return the state of the broker with its reason."""
    return f"{broker.state}: {broker.reason}" if broker.reason else str(broker.state)


def _gets_a_line(event: Event, seen: dict[str, tuple[object, ...]]) -> bool:
    """Return False for an event that only reports progress: such events come up to four times a second.

    Args:
        event: the event.
        seen: the last state of each open job by its id; this function updates it.
    """
    job = event.job
    if event.about is not About.JOB or job is None:
        return True
    now = (job.state, job.attempts, job.held, job.cancelling, job.removed)
    changed = seen.get(job.id) != now
    if job.state.final:
        seen.pop(job.id, None)
    else:
        seen[job.id] = now
    return changed


def _print(at: float, text: str) -> None:
    click.echo(output.line(f"{time.strftime('%H:%M:%S', time.localtime(at))} {text}"))
