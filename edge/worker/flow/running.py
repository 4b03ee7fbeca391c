"""Holds the ids of the jobs that run in this worker now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RunningJobs:
    """Holds the ids of jobs from their admission to the end of their body. Its methods may be called from any thread.

    The main thread adds a job before it looks for the job's result. A thread that cancels a job checks here first. If
    the job does not run, the thread publishes the result `cancelled` inside the block of `locked`. So the job has a
    result already, or it is admitted later and finds the published result.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()

    def add(self, job_id: str) -> None:
        """Add a job that is about to be admitted."""
        with self._lock:
            self._ids.add(job_id)

    def discard(self, job_id: str) -> None:
        """Remove a job whose body has ended or did not begin."""
        with self._lock:
            self._ids.discard(job_id)

    @property
    def busy(self) -> bool:
        """True while any job runs."""
        return bool(self._ids)

    @contextmanager
    def locked(self, job_id: str) -> Iterator[bool]:
        """Yield True if the job runs, else False. No job is added or removed inside the block."""
        with self._lock:
            yield job_id in self._ids
