"""Writes the status of a worker that runs many bodies, at most four times a second except for urgent changes."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.core.layout import Layout
from edge.model import PowerState, RunningJob, WorkerState, WorkerStatus
from edge.worker.process.status import MOMENT_S, StatusFile, resting

_GONE = (WorkerState.DISCONNECTED, WorkerState.STOPPED)
#: Fields that are written at once, because other processes wait for them. They change seldom.
_URGENT = frozenset({"state", "queues", "reason"})


class ThreadsStatus(StatusFile):
    """A `StatusFile` with the jobs of all bodies in the field `jobs`. Belongs to the main thread."""

    def __init__(
        self,
        layout: Layout,
        name: str,
        later: Callable[[float, Callable[[], None]], object],
        *,
        jobs: Callable[[], tuple[RunningJob, ...]],
        slots: int,
        on_write: Callable[[WorkerStatus], None] = lambda _: None,
    ) -> None:
        """Make the status. `jobs` returns the jobs that run now, at most `slots`; see `StatusFile` for the others."""
        super().__init__(layout, name, later, on_write=on_write)
        self._set(slots=slots)
        self._jobs = jobs
        self._flush_at: float | None = None

    def update(self, **changes: object) -> None:
        """Change fields of the status, and write it: now if a field is urgent, else a moment later."""
        self._set(**changes)
        if _URGENT.intersection(changes):
            self.flush()
        else:
            self.changed()

    def update_queues(self, queues: tuple[str, ...], power: PowerState) -> None:
        """Note which queues the broker has confirmed as consumed."""
        self.update(state=resting(queues), queues=queues, power=power)

    def finished(self, **changes: object) -> None:
        """Note that the worker has finished a message."""
        self._set(**changes)
        self.changed()

    def changed(self) -> None:
        """Note that a body began, ended or reported something. It is written a moment later."""
        if self._flush_at is None:
            now = time.monotonic()
            self._flush_at = max(now, self._written_at + MOMENT_S)
            self._later(self._flush_at - now, self.flush_due)

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until `flush_due` must be called if the event loop does not run, or None if nothing waits."""
        return None if self._flush_at is None else max(self._flush_at - time.monotonic(), 0.0)

    def flush_due(self) -> None:
        """Write the changes that wait, if their time has come."""
        if self._flush_at is not None and time.monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write the status if it differs from the file."""
        self._flush_at = None
        jobs, state = self._jobs(), self._status.state
        if state not in _GONE:
            state = resting(self._status.queues)
            if jobs:
                held = all(job.held is not None for job in jobs)
                state = WorkerState.HELD if held else WorkerState.RUNNING
        self._set(jobs=jobs, state=state)
        super().flush()
