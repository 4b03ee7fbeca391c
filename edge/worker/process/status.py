"""Writes the status of this worker to `run/worker-NAME.json`. Each change is written as a new file.

Each of many short jobs would cost two writes and wake every watcher twice. So the end of a job, and a start right after
it, are written only if they are still true a moment later.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import msgspec

from edge.core import durable
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import PowerState, Progress, RunningJob, WaitReason, WorkerState, WorkerStatus

logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

#: Shortest time between two writes of progress.
PROGRESS_S = 0.25
#: Delay of a change that may be undone at once. So there are at most four such writes a second.
MOMENT_S = 0.25
#: A body that still runs is written to the file after this time at the earliest, and after `MOMENT_S` at the latest.
LASTING_S = 0.1


class StatusFile:
    """Writes the status file. Belongs to the main thread.

    A disk error is logged once and not raised, because the job matters more than its status.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        later: Callable[[float, Callable[[], None]], object],
        *,
        on_write: Callable[[WorkerStatus], None] = lambda _: None,
    ) -> None:
        """Make the status of the worker `name`; nothing is written yet.

        Args:
            layout: the folders of the board.
            name: the worker's name.
            later: schedules a call of the event loop: `later(delay_s, call)`.
            on_write: called with each status that is written.
        """
        self._on_write = on_write
        self._path = layout.worker(name)
        self._status = WorkerStatus(name, os.getpid(), boot_id(), WorkerState.DISCONNECTED, started_at=time.time())
        self._later = later
        self._next_progress = 0.0
        self._written_at = 0.0
        self._dirty = True
        self._flush_comes = False
        self._failed = False

    @property
    def status(self) -> WorkerStatus:
        """The current status, which may not be written yet."""
        return self._status

    def update(self, **changes: object) -> None:
        """Change fields of the status, and write it if anything changed."""
        self._set(**changes)
        self.flush()

    def update_queues(self, queues: tuple[str, ...], power: PowerState) -> None:
        """Note which queues the broker has confirmed as consumed."""
        if self._status.job is not None:
            self.update(queues=queues, power=power)
        else:
            self.update(state=resting(queues), queues=queues, power=power)

    def begin(self, job: RunningJob) -> float:
        """Note that a body starts. This is written now only if the last write is at least `MOMENT_S` ago.

        Returns:
            Seconds after which `flush` must be called if the body still runs.
        """
        self._next_progress = 0.0
        parked = tuple(each for each in self._status.parked if each.id != job.id)
        self._set(state=WorkerState.RUNNING, job=job, parked=parked)
        quiet_s = self._written_at + MOMENT_S - time.monotonic()
        if quiet_s <= 0:
            self.flush()
        return max(LASTING_S, quiet_s)

    def finished(self, **changes: object) -> None:
        """Note that no body runs any more."""
        self._set(state=resting(self._status.queues), job=None, **changes)
        if changes or not self._status.queues:
            self.flush()
        elif self._dirty and not self._flush_comes:
            self._flush_comes = True
            self._later(MOMENT_S, self._flush_later)

    def progress(self, progress: Progress) -> None:
        """Note the progress of the running job. It is dropped if it comes within `PROGRESS_S` of the last one."""
        now = time.monotonic()
        if now < self._next_progress or self._status.job is None:
            return
        self._next_progress = now + PROGRESS_S
        self.update(job=msgspec.structs.replace(self._status.job, progress=progress))

    def hold(self, held: WaitReason) -> bool:
        """Note that the running job is held. Return True if it was not held before."""
        job = self._status.job
        if job is None:
            return False
        self.update(state=WorkerState.HELD, job=msgspec.structs.replace(job, held=held))
        return job.held is None

    def resume(self) -> None:
        """Note that the held job continues."""
        if self._status.job is not None:
            self.update(state=WorkerState.RUNNING, job=msgspec.structs.replace(self._status.job, held=None))

    def changed(self) -> None:
        """Do nothing: only a worker of threads has bodies outside the main thread."""

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until `flush_due` must be called if the event loop does not run, or None if nothing waits."""
        return None

    def flush_due(self) -> None:
        """Do nothing: here no change waits to be written. See `ThreadsStatus`."""

    def flush(self) -> None:
        """Write the status if it differs from the file."""
        if not self._dirty:
            return
        try:
            durable.replace_volatile(self._path, _encode(self._status))
            self._failed = False
        except OSError as err:
            if not self._failed:  # the job continues, because it matters more than its status
                logger.warning("cannot write %s: %s", self._path, err)
            self._failed = True
        self._dirty = False
        self._written_at = time.monotonic()
        self._on_write(self._status)

    def _set(self, **changes: object) -> None:
        if any(getattr(self._status, key) != value for key, value in changes.items()):
            self._status = msgspec.structs.replace(self._status, updated_at=time.time(), **changes)
            self._dirty = True

    def _flush_later(self) -> None:
        self._flush_comes = False
        if self._status.job is None:
            self.flush()


def resting(queues: tuple[str, ...]) -> WorkerState:
    """Return the state of a worker that consumes these queues and runs no body."""
    return WorkerState.IDLE if queues else WorkerState.PAUSED
