"""The governor as a process: one lock, one loop, one last word."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge import notify
from edge.config import Loaded
from edge.errors import StackError
from edge.host import boot_id
from edge.model import PowerState, PowerStatus
from edge.power import status


def main(loaded: Loaded) -> int:
    """Govern until SIGTERM or SIGINT; returns the exit code. Raises StackError when a governor runs already."""
    layout = loaded.config.layout
    layout.run.mkdir(parents=True, exist_ok=True)
    with _sole(layout.run / "governor.lock"), _signals() as wakeup:
        try:
            status.write(layout.power, _plain_supply())
            notify.ready()
            every_s = notify.ping_every_s()
            with selectors.DefaultSelector() as selector:
                selector.register(wakeup, selectors.EVENT_READ)
                while not selector.select(every_s):
                    notify.alive()
        finally:
            notify.stopping()
            status.write(layout.power, _stopped())
    return 0


def _plain_supply() -> PowerStatus:
    return _stamped(
        PowerState.SURPLUS, "plain-supply", "plain supply configured: always good", "sources are configured"
    )


def _stopped() -> PowerStatus:
    return _stamped(PowerState.UNKNOWN, "governor-stopped", "the governor was stopped", "`edge power` runs again")


def _stamped(state: PowerState, code: str, reason: str, until: str) -> PowerStatus:
    now = time.time()
    return PowerStatus(
        state,
        code,
        reason,
        until=until,
        since=now,
        at=now,
        monotonic=time.monotonic(),
        boot_id=boot_id(),
        pid=os.getpid(),
    )


@contextmanager
def _sole(path: Path) -> Iterator[None]:
    """Hold the lock of the one governor of this run folder; the kernel drops it however we end."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StackError(f"a governor runs already on {path.parent}") from err
        yield


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that becomes readable at SIGTERM or SIGINT, each byte the number of a signal."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        reader.setblocking(False)
        old_fd = signal.set_wakeup_fd(writer.fileno())
        old = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield reader
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
