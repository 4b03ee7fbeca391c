"""The handle of a job that was accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge.core.errors import JobFailed
from edge.core.values import JsonValue
from edge.model import JobState, Result
from edge.wire import JobView


class Board(Protocol):
    """What a job's handle needs of its board; `Client` is the real one."""

    def job(self, job_id: str) -> JobView:
        """Where the job stands."""

    def wait(
        self, job_id: str, *, timeout: float | None = None, on_progress: Callable[[JobView], None] | None = None
    ) -> Result:
        """The job's result, once there is one."""

    def cancel(self, job_id: str) -> JobView:
        """Ask that the job stop."""

    def remove(self, job_id: str) -> None:
        """Remove the ended job."""

    def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch a file of the job."""


class Job:
    """A job that was accepted: its id, and what can be asked about it. `view` is what was last heard."""

    def __init__(self, client: Board, view: JobView) -> None:
        self._client, self.view = client, view

    @property
    def id(self) -> str:
        """The id; the result file on the board has the same name."""
        return self.view.id

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.view.task!r}, {self.view.state.value!r})"

    def refresh(self) -> JobView:
        """Where it stands now."""
        self.view = self._client.job(self.id)
        return self.view

    def wait(self, timeout: float | None = None, on_progress: Callable[[JobView], None] | None = None) -> Result:
        """Its result, a failure too; raises NotReady after `timeout` seconds."""
        return self._client.wait(self.id, timeout=timeout, on_progress=on_progress)

    def value(self, timeout: float | None = None) -> JsonValue:
        """What the task returned; raises JobFailed when it did not, NotReady after `timeout` seconds."""
        result = self.wait(timeout)
        if result.state is not JobState.SUCCEEDED:
            reason = result.failure.message if result.failure else "no reason given"
            raise JobFailed(self.id, result.state.value, reason)
        return result.value

    def cancel(self) -> JobView:
        """Ask that it stop; it then ends as cancelled, unless it ends by itself first."""
        return self._client.cancel(self.id)

    def remove(self) -> None:
        """Remove its result and files from the board; it must have ended."""
        self._client.remove(self.id)

    def download(self, name: str, to: Path | str) -> Path:
        """Fetch the file `name` it left; see `Client.download`."""
        return self._client.download(self.id, name, to)
