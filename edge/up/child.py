"""A child process in its own session. The kernel ends it with us, and a pidfd reports its end without polling."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge.core.errors import given


class Child:
    """A started program; selectable, readable once it has ended.

    The kernel kills it when the thread that started it ends (PR_SET_PDEATHSIG, through `setpriv` of
    util-linux: no Python runs between fork and exec), so start it from the main thread. Its own session
    keeps a Ctrl-C of the terminal away from it, so that we decide in which order the parts stop.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        output: int | IO[bytes] | None = None,
    ) -> None:
        self._popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Readable when the process has ended."""
        return self._pidfd

    @property
    def output(self) -> IO[bytes] | None:
        """The reading end of its output, when it was started with `subprocess.PIPE`; its reader closes it."""
        return self._popen.stdout

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._reap()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code, or None when it still runs after `timeout_s`."""
        if self._popen.returncode is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll(None if timeout_s is None else max(0, int(timeout_s * 1000)))
        return self._reap()

    def _reap(self) -> int | None:
        """Return its exit code once it has ended, and kill what it left running, as systemd does."""
        if self._popen.returncode is None:
            with suppress(ChildProcessError, ProcessLookupError, PermissionError):
                # It is not reaped yet, so its process id still belongs to its group.
                if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    os.killpg(self.pid, signal.SIGKILL)
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send `number`; nothing happens when it has ended."""
        self._popen.send_signal(number)

    def end(self, grace_s: float) -> int:
        """SIGTERM, then SIGKILL to its whole session after `grace_s`; its exit code."""
        self.signal(signal.SIGTERM)
        code = self.wait(grace_s)
        if code is None:
            self.kill()
            code = self.wait()
        return given(code, "the exit code")

    def kill(self) -> None:
        """SIGKILL to its whole session; returns at once."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give the descriptor back; the process must have ended."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
