"""The job both sides run: as little work as a job can have, so that what is measured is the way around it."""

from __future__ import annotations

from edge.worker import task


@task
def echo(message_id: int, message: str) -> str:
    """Give the message back."""
    return f"{message_id}: {message}"
