"""Runs an `edge up` in the background, and waits until it is ready."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge.core.errors import StackError
from edge.up.broker.last_words import read_tail
from edge.up.lock import holder

READY_S = 300.0  # longer than the limits of the broker and the parts, which name the one that is late
STOP_S = 60.0


class Background:
    """An `edge up` that is ready after construction. It runs in its own session, so it does not end with us.

    `news` has the fields of its READY message: X_EDGE_URL, and the seconds that each part took to start.
    """

    def __init__(self, root: Path, log: Path, arguments: Sequence[str] = ()) -> None:
        """Start it, and wait until it is ready.

        Args:
            root: the state folder.
            log: file for its output, which is overwritten.
            arguments: further arguments of `edge up`.

        Raises:
            StackError: another one runs on `root`, or this one ended (with its last line), or is not ready in time.
        """
        self._log = log
        pid = holder(root)
        if pid is not None:  # checked here because the log of a running one must not be overwritten
            raise StackError(f"edge up already runs on {root} (pid {pid}); `edge up --root {root} --stop` ends it")
        with tempfile.TemporaryDirectory(prefix="edge-demo-") as folder, _datagrams(Path(folder) / "notify") as news:
            command = [os.fspath(Path(sys.executable).with_name("edge")), "up", "--root", os.fspath(root), *arguments]
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    env={**os.environ, "NOTIFY_SOCKET": news.getsockname()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._pidfd = os.pidfd_open(self._process.pid)
            try:
                self.news = self._await_ready(news)
            except BaseException:  # also a Ctrl-C during the wait
                self.stop()
                raise

    def _await_ready(self, news: socket.socket) -> dict[str, str]:
        deadline = time.monotonic() + READY_S
        poll = select.poll()
        poll.register(news, select.POLLIN)
        poll.register(self._pidfd, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            if news.fileno() in ready:
                fields = dict(line.partition("=")[::2] for line in news.recv(4096).decode().splitlines())
                if fields.get("READY") == "1":
                    return fields
            elif self._pidfd in ready:
                lines = read_tail(self._log).splitlines()
                raise StackError(
                    lines[-1].removeprefix("edge: ")
                    if lines
                    else f"edge up ended without any output (log: {self._log})"
                )
        raise StackError(f"edge up is not ready after {READY_S:g} s (log: {self._log})")

    @property
    def pid(self) -> int:
        """Process id of the `edge up`."""
        return self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end. Return the exit code, or None if it still runs after `timeout_s`."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll(timeout_s * 1000)
        return self._process.poll()

    def stop(self) -> None:
        """Stop it: SIGTERM, then a second SIGTERM, then SIGKILL, each `STOP_S` after the one before. Blocks."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            if self.wait(STOP_S) is not None:
                return

    def keep(self) -> None:
        """Let it run on after our end, without a warning."""
        self._process.returncode = 0  # otherwise Popen would warn that the process still runs


@contextmanager
def _datagrams(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(os.fspath(path))
        yield sock
