"""Waits for a job and shows its progress on stderr: as a bar on a terminal, else as a line at each change."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edge.cli import output
from edge.cli.session import Session
from edge.core.errors import EdgeError
from edge.wire import JobView

if TYPE_CHECKING:
    from edge.client import Client
    from edge.model import Result


def waited(session: Session, client: Client, job_id: str, *, timeout: float | None) -> Result:
    """Return the result of the job once it has ended, and show its progress on stderr.

    Args:
        session: with `as_json` nothing is shown.
        client: the client of the gateway.
        job_id: the job.
        timeout: seconds to wait at most; None for no limit.

    Raises:
        NotReady: the job has not ended within `timeout`.
        EdgeError: as the client raises.
    """
    if session.as_json:
        return client.wait(job_id, timeout=timeout)
    show: _Bar | _Lines = _Bar(job_id) if sys.stderr.isatty() else _Lines(job_id)
    with show:
        return client.wait(job_id, timeout=timeout, on_progress=show.update, on_outage=show.outage)


def _state(view: JobView) -> str:
    """Return the state of the job in a phrase, with the reason why it waits or the note of its progress."""
    if view.waiting:
        return f"{view.state}: {view.waiting}"
    note = f": {view.progress.note}" if view.progress and view.progress.note else ""
    return f"{view.state}{note}"


class _Lines:
    """Writes a line to stderr at each change of state, for a log."""

    def __init__(self, job_id: str) -> None:
        self._id, self._last = job_id, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, view: JobView) -> None:
        """Write the state of the job, if it has changed."""
        self._write(_state(view) if view.waiting else str(view.state))

    def outage(self, err: EdgeError) -> None:
        """Write that the board does not answer."""
        self._write(f"{err}; still waiting")

    def _write(self, text: str) -> None:
        # Numbers change all the time, such as a duration or the jobs ahead. Only another reason gets a line.
        reason = re.sub(r"\d+", "#", text)
        if reason != self._last:
            output.note(f"{self._id} {text}")
            self._last = reason


class _Bar:
    """Draws a progress bar on stderr, with the state of the job or the reason why it does not run."""

    def __init__(self, job_id: str) -> None:
        # Importing rich takes 80 ms on a laptop and a second on a Pi Zero, so it is loaded only if a bar is drawn.
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._escape = escape
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )
        self._row = self._progress.add_task(job_id[:8], total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, view: JobView) -> None:
        """Draw the state of the job."""
        text = self._escape(output.line(_state(view), width=100))
        if view.progress and view.progress.total > 0:
            self._progress.update(self._row, description=text, completed=view.progress.done, total=view.progress.total)
        else:
            self._progress.update(self._row, description=text, total=None)

    def outage(self, err: EdgeError) -> None:
        """Draw that the board does not answer."""
        self._progress.update(self._row, description=self._escape(output.line(f"{err}; still waiting", width=100)))
