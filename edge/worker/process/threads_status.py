"""The status of a worker that runs many bodies: written at most four times a second, however many there are."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.core.layout import Layout
from edge.model import PowerState, RunningJob, WorkerState
from edge.worker.process.status import MOMENT_S, StatusFile, resting

_GONE = (WorkerState.DISCONNECTED, WorkerState.STOPPED)
#: What is written at once: others wait for it, and it changes seldom.
_URGENT = frozenset({"state", "queues", "reason"})


class ThreadsStatus(StatusFile):
    """As `StatusFile`, with the jobs of all bodies in `jobs`. Belongs to the main thread."""

    def __init__(
        self,
        layout: Layout,
        name: str,
        later: Callable[[float, Callable[[], None]], object],
        *,
        jobs: Callable[[], tuple[RunningJob, ...]],
        slots: int,
    ) -> None:
        """`jobs` gives the jobs that run now; at most `slots` at once."""
        super().__init__(layout, name, later)
        self._set(slots=slots)
        self._jobs = jobs
        self._flush_at: float | None = None

    def say(self, **changes: object) -> None:
        """Change fields of the status, and write it soon if anything is new."""
        self._set(**changes)
        if _URGENT.intersection(changes):
            self.flush()
        else:
            self.changed()

    def say_open(self, queues: tuple[str, ...], power: PowerState) -> None:
        """The broker has confirmed which queues are consumed."""
        self.say(state=resting(queues), queues=queues, power=power)

    def rest(self, **changes: object) -> None:
        """A message is through."""
        self._set(**changes)
        self.changed()

    def changed(self) -> None:
        """What the bodies do has changed: it is written a moment from now."""
        if self._flush_at is None:
            now = time.monotonic()
            self._flush_at = max(now, self._written_at + MOMENT_S)
            self._later(self._flush_at - now, self.flush_due)

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until `flush_due` is to be called, for when the loop does not run; None: nothing waits."""
        return None if self._flush_at is None else max(self._flush_at - time.monotonic(), 0.0)

    def flush_due(self) -> None:
        """Write what waits to be written, if its time has come."""
        if self._flush_at is not None and time.monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write the status if the file does not say it yet."""
        self._flush_at = None
        jobs, state = self._jobs(), self._status.state
        if state not in _GONE:
            state = resting(self._status.queues)
            if jobs:
                held = all(job.held is not None for job in jobs)
                state = WorkerState.HELD if held else WorkerState.RUNNING
        self._set(jobs=jobs, state=state)
        super().flush()
