"""What this worker says about itself in `run/worker-NAME.json`; a new file at each change, none while nothing does."""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec
from celery.utils.log import get_logger

from edge import durable
from edge.host import boot_id
from edge.layout import Layout
from edge.model import Progress, RunningJob, WorkerState, WorkerStatus

logger = get_logger(__name__)
_encode = msgspec.json.Encoder().encode

#: Progress is written at most so often: it costs a wake-up of everyone who watches.
PROGRESS_S = 0.25


class StatusFile:
    """The worker's own word. Belongs to the main thread."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._path = layout.worker(name)
        self._status = WorkerStatus(name, os.getpid(), boot_id(), WorkerState.DISCONNECTED, started_at=time.time())
        self._next_progress = 0.0
        self._failed = False

    @property
    def status(self) -> WorkerStatus:
        """What was said last."""
        return self._status

    def say(self, **changes: Any) -> None:
        """Change fields of the status; writes only when something changed."""
        if self._status.updated_at and all(getattr(self._status, key) == value for key, value in changes.items()):
            return
        self._status = msgspec.structs.replace(self._status, updated_at=time.time(), **changes)
        try:
            durable.replace_volatile(self._path, _encode(self._status))
            self._failed = False
        except OSError as err:
            if not self._failed:  # the job matters more than the word about it
                logger.warning("cannot write %s: %s", self._path, err)
            self._failed = True

    def begin(self, job: RunningJob) -> None:
        """A body starts."""
        self._next_progress = 0.0
        self.say(state=WorkerState.RUNNING, job=job)

    def progress(self, progress: Progress) -> None:
        """How far the running job is; what comes too soon after the last is not written."""
        now = time.monotonic()
        if now < self._next_progress or self._status.job is None:
            return
        self._next_progress = now + PROGRESS_S
        self.say(job=msgspec.structs.replace(self._status.job, progress=progress))
