"""Reports the state of this process to its supervisor by sd_notify(3). Does nothing without a supervisor."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress


def notify(**fields: str) -> None:
    """Send lines `NAME=value` to NOTIFY_SOCKET as one datagram. It is not an error if no process listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    target = "\0" + address[1:] if address[0] == "@" else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.sendto("\n".join(f"{name}={value}" for name, value in fields.items()).encode(), target)


def ready(status: str = "") -> None:
    """Report that the service is ready."""
    notify(READY="1", **({"STATUS": status} if status else {}))


def stopping() -> None:
    """Report that the service is stopping."""
    notify(STOPPING="1")


def alive() -> None:
    """Ping the watchdog."""
    notify(WATCHDOG="1")


def ping_every_s(env: Mapping[str, str] | None = None) -> float | None:
    """Return the seconds between two calls of `alive`, half of the watchdog's period, or None without a watchdog."""
    env = os.environ if env is None else env
    try:
        period_s = int(env.get("WATCHDOG_USEC", "0")) / 1e6
        watched = int(env.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return period_s / 2 if period_s > 0 and watched == os.getpid() else None


class Pinger:
    """Pings the watchdog from its own thread while `healthy()` returns True.

    It serves a process whose main thread may be busy for hours. `healthy` runs in the thread of the pinger and must not
    block. The thread wakes up twice in a watchdog period, and does not exist without a watchdog.
    """

    def __init__(self, healthy: Callable[[], bool], *, every_s: float | None = None) -> None:
        self._healthy = healthy
        self._every_s = ping_every_s() if every_s is None else every_s
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if there is a watchdog."""
        if self._every_s is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._every_s,), name="watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread. If it is sending a ping, wait for that."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, every_s: float) -> None:
        while not self._end.wait(every_s):
            if self._healthy():
                alive()
