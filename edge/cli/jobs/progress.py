"""Waiting for a job in front of a person: a bar on a terminal, a line at each change elsewhere."""

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
    """The result of the job, shown on stderr how it goes. Raises NotReady and the client's errors."""
    if session.as_json:
        return client.wait(job_id, timeout=timeout)
    show: _Bar | _Lines = _Bar(job_id) if sys.stderr.isatty() else _Lines(job_id)
    with show:
        return client.wait(job_id, timeout=timeout, on_progress=show.update, on_outage=show.outage)


def _state(view: JobView) -> str:
    """Where the job stands in one phrase."""
    if view.waiting:
        return f"{view.state}: {view.waiting}"
    note = f": {view.progress.note}" if view.progress and view.progress.note else ""
    return f"{view.state}{note}"


class _Lines:
    """One line on stderr at each change of state: what a log should hold."""

    def __init__(self, job_id: str) -> None:
        self._id, self._last = job_id, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, view: JobView) -> None:
        """Say where the job stands, if that is new."""
        self._say(_state(view) if view.waiting else str(view.state))

    def outage(self, err: EdgeError) -> None:
        """Say that the board does not answer."""
        self._say(f"{err}; still waiting")

    def _say(self, text: str) -> None:
        # Numbers change all the time (how long, how many ahead); the reason is what is news.
        reason = re.sub(r"\d+", "#", text)
        if reason != self._last:
            output.note(f"{self._id} {text}")
            self._last = reason


class _Bar:
    """A progress bar on stderr: how far the job says it is, or why it does not run."""

    def __init__(self, job_id: str) -> None:
        # rich is 80 ms of imports on a laptop, a second on a Pi Zero: only where a bar is really drawn
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
        """Draw where the job stands."""
        text = self._escape(output.line(_state(view), width=100))
        if view.progress and view.progress.total > 0:
            self._progress.update(self._row, description=text, completed=view.progress.done, total=view.progress.total)
        else:
            self._progress.update(self._row, description=text, total=None)

    def outage(self, err: EdgeError) -> None:
        """Say that the board does not answer."""
        self._progress.update(self._row, description=self._escape(output.line(f"{err}; still waiting", width=100)))
