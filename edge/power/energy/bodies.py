"""Counts running bodies that have a worker process to themselves: the board's watts are shared among them."""

from __future__ import annotations

import msgspec

from edge.core.host import boot_id, process_alive
from edge.core.layout import Layout


class _Mark(msgspec.Struct):
    """What is needed of `run/running/NAME.json`."""

    boot_id: str = ""
    pid: int = 0
    ran: int = 0  # bodies of a worker of threads


class _Worker(msgspec.Struct):
    """What is needed of `run/worker-NAME.json`."""

    state: str = ""


def alone(layout: Layout, *, besides: int = 0) -> int:
    """The bodies that run in workers of one body each; one that is held or frozen draws nothing and does not count.

    Args:
        layout: the folders of the board.
        besides: the process whose own body is not counted.
    """
    count = 0
    try:
        marks = sorted(layout.running.iterdir())
    except OSError:
        return 0
    for path in marks:
        try:
            mark = msgspec.json.decode(path.read_bytes(), type=_Mark)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # empty: nothing runs
            continue
        if mark.ran or mark.pid == besides or mark.boot_id != boot_id() or not process_alive(mark.pid):
            continue
        count += not (layout.frozen(path.stem).exists() or _held(layout, path.stem))
    return count


def _held(layout: Layout, name: str) -> bool:
    try:
        return msgspec.json.decode(layout.worker(name).read_bytes(), type=_Worker).state == "held"
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
