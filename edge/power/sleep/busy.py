"""Who works now, by the files of the workers: a board with a body that runs does not sleep."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus


def who(layout: Layout) -> str:
    """A sentence about the first worker that works, or that would lose what it did; empty: none does.

    A job that is held does not keep the board awake: what it did is saved, and it goes on after the boot. A frozen one
    is stopped wherever it was, and would begin anew.
    """
    for worker in _living(layout):
        if layout.frozen(worker.name).exists():
            return f"worker {worker.name} is frozen, and its job would begin anew"
        if worker.state is WorkerState.RUNNING or any(job.held is None for job in worker.running):
            return f"worker {worker.name} runs a job"
    return ""


def connected(layout: Layout) -> bool:
    """True once a worker is connected to its broker: the board has booted."""
    return any(worker.state is not WorkerState.DISCONNECTED for worker in _living(layout))


def _living(layout: Layout) -> Iterator[WorkerStatus]:
    for path in sorted(layout.run.glob("worker-*.json")):
        try:
            worker = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        if worker.state is not WorkerState.STOPPED and worker.boot_id == boot_id() and process_alive(worker.pid):
            yield worker
