"""Celery's result backend on this board: `solve.delay(...).get(timeout=10)` reads the result file."""

from __future__ import annotations

import select
import time
from contextlib import closing

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError

from edge.core import durable
from edge.core.errors import JobFailed
from edge.core.watch import On, Watch
from edge.model import JobState, Result
from edge.results.store import Results

_LONGEST_POLL_MS = 86_400_000.0  # one day; poll takes at most 24 days, because it counts milliseconds in 32 bits
_STATES = {
    JobState.SUCCEEDED: states.SUCCESS,
    JobState.FAILED: states.FAILURE,
    JobState.CANCELLED: states.REVOKED,
}


class ResultFiles(BaseBackend):  # type: ignore[misc]
    """Reads published results and writes nothing. It waits for them with inotify and does not poll."""

    supports_autoexpire = False
    persistent = True

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, object]:  # noqa: ARG002 - Celery's signature
        """Return Celery's record of a task. It is PENDING while there is no result. Raises TornResult, OSError."""
        result = self._results().read(task_id)
        return {"status": states.PENDING, "result": None} if result is None else _meta(result)

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,  # noqa: ARG002 - nothing is polled
        no_ack: bool = True,  # noqa: ARG002
        on_interval: object = None,  # noqa: ARG002
    ) -> dict[str, object]:
        """Block until there is a result, and return Celery's record of it. Raises Celery's TimeoutError.

        Args:
            task_id: the job's id.
            timeout: the longest time to wait, in seconds. None waits forever.
            interval: ignored.
            no_ack: ignored.
            on_interval: ignored.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        staging = self.app.edge_config.layout.staging
        durable.make_folder(staging)
        # The announcement of a durable result is the removal of its name from this folder.
        with closing(Watch(staging, on=On.DELETED)) as watch:
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            while True:
                meta = self.get_task_meta(task_id)
                if meta["status"] in states.READY_STATES:
                    return meta
                left_ms = None if deadline is None else (deadline - time.monotonic()) * 1000
                if left_ms is not None and left_ms <= 0:
                    raise CeleryTimeoutError("The operation timed out.")
                poll.poll(None if left_ms is None else min(left_ms, _LONGEST_POLL_MS))
                watch.read()

    def _results(self) -> Results:
        return Results(self.app.edge_config.layout)


def _meta(result: Result) -> dict[str, object]:
    meta: dict[str, object] = {
        "task_id": result.id,
        "status": _STATES[result.state],
        "name": result.task,
        "args": result.args,
        "kwargs": result.kwargs,
        "worker": result.worker,
        "result": result.value,
        "traceback": None,
    }
    if result.failure is not None:
        meta["result"] = JobFailed(result.id, result.state.value, result.failure.message)
        meta["traceback"] = result.failure.traceback or None
    return meta
