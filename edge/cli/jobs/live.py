"""Draws a live view of a board in the terminal: power, running jobs, waiting jobs with the reason, the last results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edge.cli import output
from edge.cli.jobs.lines import broker_text, power_text
from edge.core.errors import EdgeError
from edge.core.text import duration
from edge.model import JobState, PowerState, RunningJob
from edge.wire import About, Event, JobChange, JobView, StatusView

if TYPE_CHECKING:
    from edge.client import Client

_TICK_S = 1.0  # durations on the screen are updated at this interval, without a request
_DRAW_S = 0.25  # events within this time are drawn together
_LOOK_S = 2.0  # the shortest time between two requests for the state of the board
_WAITING, _ENDED = 6, 8
_POWER = {
    PowerState.SURPLUS: "bold green",
    PowerState.NORMAL: "green",
    PowerState.LOW: "yellow",
    PowerState.CRITICAL: "bold red",
    PowerState.PAUSED: "cyan",
}
_STATE = {JobState.SUCCEEDED: "green", JobState.FAILED: "red", JobState.CANCELLED: "yellow"}


class Picture:
    """The known state of the board: the answer to the last request, and the events since then."""

    def __init__(self, board: StatusView, waiting: list[JobView]) -> None:
        self._outage = ""
        self._ended: deque[JobChange] = deque(maxlen=_ENDED)
        self._progress: dict[str, JobChange] = {}
        self.look(board, waiting)

    def look(self, board: StatusView, waiting: list[JobView]) -> None:
        """Replace the state by the answer to a new request."""
        self._board, self._waiting = board, waiting
        self._behind_s = time.time() - board.at  # the clocks of board and terminal may differ by years
        running = {job.id for worker in board.workers for job in worker.running}
        self._progress = {job_id: job for job_id, job in self._progress.items() if job_id in running}
        self._outage = ""

    def note(self, event: Event) -> bool:
        """Note an event. Return True if a new request is needed to show it."""
        job = event.job
        if event.about is About.JOB and job is not None:
            if job.state.final and not job.removed:
                self._ended.appendleft(job)
            if job.state is JobState.RUNNING:
                known = job.id in self._progress
                self._progress[job.id] = job
                return not known
        return True

    def outage(self, err: EdgeError) -> None:
        """Note that the board does not answer."""
        self._outage = f"{err}; still watching"

    @property
    def lost(self) -> bool:
        """True if the board did not answer and `look` was not called since."""
        return bool(self._outage)

    def drawn(self) -> RenderableType:
        """Return the picture in a form that rich can draw."""
        board, now = self._board, time.time() - self._behind_s
        counts = ", ".join(f"{count} {state}" for state, count in board.jobs.items() if count) or "no jobs"
        head = Table.grid(padding=(0, 2))
        head.add_row(Text("board", "bold"), _text(f"{board.host or 'unnamed'}: {counts}"))
        head.add_row(Text("power", "bold"), _text(power_text(board.power), _POWER.get(board.power.state, "magenta")))
        head.add_row(Text("broker", "bold"), _text(broker_text(board.broker)))
        if not board.workers:
            head.add_row(Text("worker", "bold"), _text("no worker runs: jobs are kept, but none starts", "red"))
        if self._outage:
            head.add_row(Text("connection", "bold red"), _text(self._outage, "red"))
        return Group(head, self._running(now), self._waiting_jobs(), self._results(now))

    def _running(self, now: float) -> Table:
        table = _table("running", "worker", "duration", "progress", "")
        for worker in self._board.workers:
            for body in worker.running:
                change = self._progress.get(body.id)
                progress = change.progress if change is not None and change.progress is not None else body.progress
                held = change.held if change is not None else body.held
                bar: RenderableType = ""
                if progress is not None and progress.total > 0:
                    bar = ProgressBar(total=progress.total, completed=progress.done, width=20)
                note = f"held: {held.reason}" if held else progress.note if progress else ""
                table.add_row(
                    _text(_name(body)),
                    _text(worker.name),
                    duration(max(0.0, now - body.started_at), fine=True),
                    bar,
                    _text(note, "yellow" if held else ""),
                )
        return table

    def _waiting_jobs(self) -> Table:
        table = _table("waiting", "state", "reason")
        for job in self._waiting:
            table.add_row(_text(f"{job.task} {job.id}"), str(job.state), _text(job.waiting))
        return table

    def _results(self, now: float) -> Table:
        table = _table("ended", "state", "ago", "")
        for job in self._ended:
            ago = duration(max(0.0, now - job.finished_at), fine=True) if job.finished_at else ""
            table.add_row(_text(f"{job.task} {job.id}"), Text(job.state, _STATE[job.state]), ago, _text(job.error))
        return table


def live(client: Client) -> None:
    """Draw until Ctrl-C. Raises the client's errors. After the first picture, an outage is shown and is not raised."""
    views = pictures(client)
    with Live(next(views).drawn(), console=Console(), screen=True, auto_refresh=False) as screen:
        for picture in views:
            screen.update(picture.drawn(), refresh=True)


def pictures(client: Client) -> Iterator[Picture]:
    """Yield the picture each time it must be drawn, without end. Raises the client's errors, as `live` does."""
    with client.event_stream(on_outage=lambda err: picture.outage(err)) as stream:  # noqa: PLW0108 - `picture` is set below
        stream.open()
        picture = Picture(client.status(), _waiting(client))
        yield picture
        looked_at, stale = time.monotonic(), False
        while True:
            event = stream.next(_TICK_S)
            until = time.monotonic() + _DRAW_S
            while event is not None:
                stale = picture.note(event) or stale
                event = stream.next(max(0.0, until - time.monotonic())) if time.monotonic() < until else None
            # Without a connection, a request would only delay the picture that shows the outage.
            if (stale or picture.lost) and stream.connected and time.monotonic() - looked_at >= _LOOK_S:
                try:
                    picture.look(client.status(), _waiting(client))
                    stale = False
                except EdgeError as err:  # show it and try again: the board may come back
                    picture.outage(err)
                looked_at = time.monotonic()
            yield picture


def _waiting(client: Client) -> list[JobView]:
    """Return at most `_WAITING` jobs that wait: first jobs that will be retried, then queued, then accepted ones."""
    found: list[JobView] = []
    for state in (JobState.RETRYING, JobState.QUEUED, JobState.ACCEPTED):
        found += client.list(state=state, limit=_WAITING - len(found)) if len(found) < _WAITING else []
    return found


def _name(body: RunningJob) -> str:
    return f"{body.task} {body.id}"


def _table(*header: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, header_style="bold", pad_edge=False)
    for name in header[:-1]:
        table.add_column(name, no_wrap=True)
    table.add_column(header[-1], ratio=1)  # a sentence, which gets the rest of the width and may need several lines
    return table


def _text(text: str, style: str = "") -> Text:
    """Return text of the board without control characters, which must not reach the terminal."""
    return Text(output.line(text), style)
