"""Which jobs run in this worker now; other threads may ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RunningJobs:
    """Ids of the jobs between their admission and the end of their body. Callable from any thread.

    The main thread adds a job before it looks for the job's result. So a thread that cancels a job asks here first, and
    publishes the result `cancelled` inside the block of `locked`. A job that does not run then either has a result
    already, or is admitted later and finds the published one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()

    def add(self, job_id: str) -> None:
        """The job is about to be admitted."""
        with self._lock:
            self._ids.add(job_id)

    def discard(self, job_id: str) -> None:
        """Its body has ended, or did not begin."""
        with self._lock:
            self._ids.discard(job_id)

    @property
    def busy(self) -> bool:
        """True while anything runs."""
        return bool(self._ids)

    @contextmanager
    def locked(self, job_id: str) -> Iterator[bool]:
        """True inside the block when the job runs; while the block lasts none begins and none ends."""
        with self._lock:
            yield job_id in self._ids
