"""Tells from the status files of the workers whether a job is running. The board does not sleep then."""

from __future__ import annotations

from collections.abc import Iterator

from edge.core import stored
from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus


def running_job(layout: Layout) -> str:
    """Return a sentence about the first worker that runs a job or has a frozen one, or "" if there is none.

    A held job does not keep the board awake: its state is saved, and it continues after the boot. A frozen job was
    stopped at an arbitrary point, and would start again from the beginning.
    """
    for worker in _living(layout):
        if layout.frozen(worker.name).exists():
            return f"worker {worker.name} is frozen, and its job would begin anew"
        if worker.state is WorkerState.RUNNING or any(job.held is None for job in worker.running):
            return f"worker {worker.name} runs a job"
    return ""


def connected(layout: Layout) -> bool:
    """Return True if a worker is connected to its broker, which means that the board has booted."""
    return any(worker.state is not WorkerState.DISCONNECTED for worker in _living(layout))


def _living(layout: Layout) -> Iterator[WorkerStatus]:
    for path in sorted(layout.run.glob("worker-*.json")):
        try:
            worker = stored.read(path, WorkerStatus)
        except (OSError, stored.BadContent):
            continue
        if worker.state is not WorkerState.STOPPED and worker.boot_id == boot_id() and process_alive(worker.pid):
            yield worker
