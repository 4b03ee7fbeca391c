"""Allows one `edge up` for a state folder, and lets another command end it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.core.errors import StackError


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the lock of `root` for the block. Raises StackError if another process holds it.

    The kernel releases the lock even if this process is killed.
    """
    path = root / "up.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            file.seek(0)
            pid = file.read().strip()
            text = f"edge up already runs on {root} (pid {pid})" if pid else f"edge up or edge restore uses {root}"
            raise StackError(text) from err
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def holder(root: Path) -> int | None:
    """Return the process id of the `edge up` that runs on `root`, or None if none does."""
    try:
        with (root / "up.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
            return None
    except (FileNotFoundError, ValueError):
        return None


def stop_other(root: Path, *, timeout_s: float = 90.0) -> bool:
    """End the `edge up` that runs on `root`, with an orderly stop.

    Return False if none runs. Raises StackError if it still runs after `timeout_s`.
    """
    pid = holder(root)
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False  # it ended between the two calls
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise StackError(f"edge up on {root} (pid {pid}) does not end in {timeout_s:g} s")
    finally:
        os.close(process)
    return True
