"""Holds the bodies that run in the threads of this worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.model import RunningJob
from edge.worker.executor.body import Body


class Bodies:
    """Holds the running bodies by the id of their job. Belongs to the main thread, except `changed` and `get`."""

    def __init__(self, *, on_change: Callable[[], None]) -> None:
        """`on_change` is called in any thread, at the first change after a call of `running_jobs`."""
        self._on_change = on_change
        self._bodies: dict[str, Body] = {}
        self._is_changed = False

    def __len__(self) -> int:
        return len(self._bodies)

    def __iter__(self) -> Iterator[Body]:
        return iter(tuple(self._bodies.values()))

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._bodies

    def get(self, job_id: str) -> Body | None:
        """Return the body of that job, or None if it does not run. Callable from any thread."""
        return self._bodies.get(job_id)

    def add(self, body: Body) -> None:
        """Add a body that begins."""
        self._bodies[body.id] = body
        self.changed()

    def remove(self, body: Body) -> None:
        """Remove a body that has ended or was abandoned."""
        self._bodies.pop(body.id, None)
        self.changed()

    def changed(self) -> None:
        """Note that a body began, ended, was held or reported progress. Callable from any thread."""
        if not self._is_changed:
            self._is_changed = True
            self._on_change()

    @property
    def is_changed(self) -> bool:
        """True when something changed since the last call of `running_jobs`."""
        return self._is_changed

    def running_jobs(self) -> tuple[RunningJob, ...]:
        """Return the jobs that run now, the oldest first."""
        self._is_changed = False  # before the list is made: a later change counts for the next call
        return tuple(body.running_job for body in self._bodies.values())
