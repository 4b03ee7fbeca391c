"""The governor as a process: one lock, one loop that sleeps until something happens, one last word."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.config import Loaded
from edge.core import durable, notify
from edge.core.errors import StackError
from edge.core.watch import Watch
from edge.power.governor.governor import Governor

_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})


def main(loaded: Loaded) -> int:
    """Govern until SIGTERM or SIGINT; returns the exit code. Raises StackError when a governor runs already."""
    layout = loaded.config.layout
    try:
        durable.make_folder(layout.pause.parent)
        for folder in (layout.policy.parent, layout.simulated.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # lgpio keeps a pipe in the working folder, and under a unit that is the read-only `/`.
        os.chdir(layout.policy.parent)
    except OSError as err:
        raise StackError(f"{err.filename}: {err.strerror or err}") from err
    with _sole(layout.run / "governor.lock"), _wakeups() as (reader, writer):
        watch = Watch(layout.pause.parent, layout.simulated.parent)

        def wake() -> None:
            with suppress(BlockingIOError):  # full: the loop wakes up anyway
                writer.send(b"\0")

        governor = Governor(loaded.config.power, layout, wake=wake)
        try:
            governor.turn(time.monotonic())
            notify.ready()
            _loop(governor, watch, reader, files={layout.pause.name, layout.simulated.name})
        finally:
            notify.stopping()
            governor.close()
            watch.close()
    return 0


def _loop(governor: Governor, watch: Watch, reader: socket.socket, *, files: set[str]) -> None:
    """Turn the governor whenever something is due or happens, until a signal ends it."""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        selector.register(watch, selectors.EVENT_READ)
        every_s = notify.ping_every_s()
        while True:
            governor.turn(time.monotonic())
            wait_s = governor.wait_s(time.monotonic())
            if every_s is not None:
                notify.alive()
                wait_s = every_s if wait_s is None else min(every_s, wait_s)
            for key, _ in selector.select(wait_s):
                if key.fileobj is watch:
                    if watch.names() & files:
                        governor.look_again()
                elif _ENDS & set(_received(reader)):
                    return


def _received(reader: socket.socket) -> bytes:
    """Signal numbers, and zeros for wake-ups from other threads."""
    received = b""
    with suppress(BlockingIOError):
        while data := reader.recv(4096):
            received += data
    return received


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
def _wakeups() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of sockets; the first becomes readable at SIGTERM, at SIGINT and when something is sent to the second."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        reader.setblocking(False)
        old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        old = {number: signal.signal(number, lambda *_: None) for number in _ENDS}
        try:
            yield reader, writer
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
