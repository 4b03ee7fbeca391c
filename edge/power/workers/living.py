"""Reads the status files of the workers that run, for the governor's decision."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core import stored
from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus


def living(layout: Layout) -> dict[str, WorkerStatus]:
    """Return the status of each worker whose process lives, by name. A frozen worker counts as held."""
    found = dict[str, WorkerStatus]()
    for path in sorted(layout.run.glob("worker-*.json")):
        status = _read(path)
        if status is None or status.state is WorkerState.STOPPED:
            continue
        if status.boot_id != boot_id() or not process_alive(status.pid):
            continue
        if layout.frozen(status.name).exists():
            status = msgspec.structs.replace(status, state=WorkerState.HELD)
        found[status.name] = status
    return found


def _read(path: Path) -> WorkerStatus | None:
    try:
        return stored.read(path, WorkerStatus)
    except (OSError, stored.BadContent):
        return None
