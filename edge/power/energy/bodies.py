"""Counts running bodies that have a worker process to themselves. The board's watts are shared among them."""

from __future__ import annotations

import msgspec

from edge.core import stored
from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout


class _Mark(msgspec.Struct):
    """The fields of `run/running/NAME.json` that are used here."""

    boot_id: str = ""
    pid: int = 0
    ran: int = 0  # number of bodies that run at the same time; only a worker of threads writes it


class _Worker(msgspec.Struct):
    """The field of `run/worker-NAME.json` that is used here."""

    state: str = ""


def alone(layout: Layout, *, besides: int = 0) -> int:
    """Return the number of running bodies whose worker runs one body at a time.

    A body that is held or frozen draws nothing, and is not counted.

    Args:
        layout: the folders of the board.
        besides: process id of a worker whose body is not counted; 0 to count all.
    """
    count = 0
    try:
        marks = sorted(layout.running.iterdir())
    except OSError:
        return 0
    for path in marks:
        try:
            mark = stored.read(path, _Mark)
        except (OSError, stored.BadContent):  # the file is empty while nothing runs
            continue
        if mark.ran or mark.pid == besides or mark.boot_id != boot_id() or not process_alive(mark.pid):
            continue
        count += not (layout.frozen(path.stem).exists() or _held(layout, path.stem))
    return count


def _held(layout: Layout, name: str) -> bool:
    try:
        return stored.read(layout.worker(name), _Worker).state == "held"
    except (OSError, stored.BadContent):
        return False
