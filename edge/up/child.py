"""Runs a child process in its own session. The kernel kills it with us, and a pidfd reports its end without polling."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge.core.errors import not_none


class Child:
    """A started program. It can be passed to `select`, and is readable once the program has ended.

    The kernel kills the program when the thread that started it ends (PR_SET_PDEATHSIG, set by `setpriv` of util-linux,
    so that no Python runs between fork and exec). So start it from the main thread. Because of its own session, a
    Ctrl-C in the terminal does not reach the program, and we decide in which order the parts stop.
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
        """Return a file descriptor that is readable when the process has ended."""
        return self._pidfd

    @property
    def output(self) -> IO[bytes] | None:
        """The reading end of the output, if the program was started with `subprocess.PIPE`. Its reader closes it."""
        return self._popen.stdout

    @property
    def exit_code(self) -> int | None:
        """The exit code, or minus the number of the signal that ended the process; None while it runs."""
        return self._reap()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end. Return the exit code, or None if the process still runs after `timeout_s`."""
        if self._popen.returncode is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll(None if timeout_s is None else max(0, int(timeout_s * 1000)))
        return self._reap()

    def _reap(self) -> int | None:
        """Return the exit code if the process has ended. Processes that it left running are killed, as by systemd."""
        if self._popen.returncode is None:
            with suppress(ChildProcessError, ProcessLookupError, PermissionError):
                # The process is not reaped yet, so its process id is still the id of its group.
                if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    os.killpg(self.pid, signal.SIGKILL)
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send the signal `number`. Nothing happens if the process has ended."""
        self._popen.send_signal(number)

    def end(self, grace_s: float) -> int:
        """Stop the process with SIGTERM, and its whole session with SIGKILL after `grace_s`. Return the exit code."""
        self.signal(signal.SIGTERM)
        code = self.wait(grace_s)
        if code is None:
            self.kill()
            code = self.wait()
        return not_none(code, "the exit code")

    def kill(self) -> None:
        """Send SIGKILL to the whole session, and return at once."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the descriptor. The process must have ended."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
