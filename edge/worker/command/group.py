"""Freezes, terminates and kills all processes of a run together.

In a sandbox, they are found as descendants of process 1 of the sandbox. All of them end when process 1 ends. Without a
sandbox, they are found by the cgroup.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from edge.worker.command.cgroup import Group
from edge.worker.power.freezer import descendants


class Processes:
    """The processes of one run. Belongs to the thread of the body."""

    def __init__(self, group: Group | None, *, first: int | None) -> None:
        """`first` is the host's pid of process 1 in the sandbox; None without a sandbox."""
        self._group, self._first = group, first
        self._stopped: list[int] = []
        self._is_frozen = False

    def freeze(self) -> None:
        """Stop all processes until `thaw`."""
        if self._is_frozen:
            return
        self._is_frozen = True
        if self._group is not None and self._group.can_freeze:
            with suppress(OSError):
                self._group.freeze(True)
                return
        while started := [pid for pid in self.pids() if pid not in self._stopped]:
            for pid in started:
                self._stopped.append(pid)
                _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the stopped processes continue."""
        if not self._is_frozen:
            return
        self._is_frozen = False
        if self._group is not None and self._group.can_freeze:
            with suppress(OSError):
                self._group.freeze(False)
        for pid in self._stopped:
            _send(pid, signal.SIGCONT)
        self._stopped.clear()

    def terminate(self) -> None:
        """Send SIGTERM to all processes."""
        for pid in self.pids():
            _send(pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all processes. With a cgroup of version 2 wait until none is left. Raises OSError if one stays."""
        if self._first is not None:
            _send(self._first, signal.SIGKILL)
        if self._group is not None:
            self._group.kill()
        self.thaw()

    def pids(self) -> list[int]:
        """Return the ids of the processes that run now, without process 1, which belongs to bubblewrap."""
        if self._first is not None:
            return descendants(self._first)
        return self._group.pids() if self._group is not None else []


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
