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
    """The methods that the handle of a job calls. `Client` has them."""

    def job(self, job_id: str) -> JobView:
        """Return the state of the job."""

    def wait(
        self, job_id: str, *, timeout: float | None = None, on_progress: Callable[[JobView], None] | None = None
    ) -> Result:
        """Wait for the job's result and return it."""

    def cancel(self, job_id: str) -> JobView:
        """Request that the job stop."""

    def remove(self, job_id: str) -> None:
        """Remove the ended job."""

    def download(self, job_id: str, name: str, to: Path | str) -> Path:
        """Fetch a file of the job."""


class Job:
    """The handle of an accepted job. `view` is the last known state; `refresh` fetches it again."""

    def __init__(self, client: Board, view: JobView) -> None:
        self._client, self.view = client, view

    @property
    def id(self) -> str:
        """The id of the job. The result file on the board has the same name."""
        return self.view.id

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.view.task!r}, {self.view.state.value!r})"

    def refresh(self) -> JobView:
        """Fetch the present state of the job and return it."""
        self.view = self._client.job(self.id)
        return self.view

    def wait(self, timeout: float | None = None, on_progress: Callable[[JobView], None] | None = None) -> Result:
        """Wait for its result and return it. A failed job has a result too. Raises NotReady after `timeout` seconds."""
        return self._client.wait(self.id, timeout=timeout, on_progress=on_progress)

    def value(self, timeout: float | None = None) -> JsonValue:
        """Return the value that the task returned. Raises JobFailed without one, NotReady after `timeout` seconds."""
        result = self.wait(timeout)
        if result.state is not JobState.SUCCEEDED:
            reason = result.failure.message if result.failure else "no reason given"
            raise JobFailed(self.id, result.state.value, reason)
        return result.value

    def cancel(self) -> JobView:
        """Request that it stop. It then ends as cancelled, unless it ends by itself first."""
        return self._client.cancel(self.id)

    def remove(self) -> None:
        """Remove its result and files from the board. Raises WrongState if it has not ended."""
        self._client.remove(self.id)

    def download(self, name: str, to: Path | str) -> Path:
        """Fetch its file `name`; see `Client.download`."""
        return self._client.download(self.id, name, to)
