"""Reads the governor's report when it changes. A descriptor wakes the event loop, and a signal wakes a running body."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from edge.core.watch import Watch
from edge.model import PowerState, PowerStatus
from edge.power import status as power
from edge.worker.process.retirement import Retirement

_F_SETOWN_EX, _F_OWNER_TID = 15, 0


class PowerWatcher:
    """Holds the governor's report that is valid now. Belongs to the main thread.

    A change is a new file, the death of the governor (noticed by a pidfd), or a report that has grown too old. The
    kernel sends SIGIO to the main thread only while `signals` is on, so an idle worker is not woken needlessly.
    """

    def __init__(self, path: Path, *, retirement: Retirement | None = None) -> None:
        """Watch `path` and the file of `retirement`. The folders of both must exist.

        Call it in the main thread. Raises OSError.
        """
        self._path, self._retirement = path, retirement
        self._watch = Watch(path.parent, *([] if retirement is None else [retirement.path.parent]))
        self._epoll = select.epoll()
        self._epoll.register(self._watch.fileno(), select.EPOLLIN)
        self._governor: tuple[int, int] | None = None  # pid and pidfd
        self._stale = True
        self._version = 0
        self._expires_at: float | None = None
        self._status = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        owner = struct.pack("ii", _F_OWNER_TID, threading.get_native_id())
        # SIGIO must come to this thread. In another one it would not interrupt the system call in which the body waits.
        fcntl.fcntl(self._watch, _F_SETOWN_EX, owner)

    @property
    def status(self) -> PowerStatus:
        """The report that was read last."""
        return self._status

    @property
    def version(self) -> int:
        """Number of times that the report was read."""
        return self._version

    @property
    def stale(self) -> bool:
        """True when the file has changed since it was read."""
        return self._stale

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the report is too old and `look` must be called, or None if it does not age."""
        return None if self._expires_at is None else max(self._expires_at - time.monotonic(), 0.0)

    def fileno(self) -> int:
        """Return the descriptor that is readable after a change."""
        return self._epoll.fileno()

    def look(self) -> bool:
        """Read the report if it has changed. Return True if it has.

        An unchanged report costs only one system call, because this is called before each job.
        """
        gone = 0
        for fd, _ in self._epoll.poll(0):
            if fd == self._watch.fileno():
                self.changed()
            elif self._governor is not None:
                gone = self._governor[0]
        overdue = self._expires_at is not None and time.monotonic() >= self._expires_at
        if not (self._stale or gone or overdue):
            return False
        self._stale = False  # before the read: a signal handler may set it again during the read
        self._take(power.read(self._path), gone)
        return True

    def changed(self) -> bool:
        """Note a change of the file, without reading it. Return True if it has changed. Safe in signal handlers."""
        changes = self._watch.read()
        if self._retirement is not None and changes.may_touch(self._retirement.path.name):
            self._retirement.note()
        changed = changes.may_touch(self._path.name)
        self._stale |= changed
        return changed

    def signals(self, on: bool) -> None:
        """Switch SIGIO at each change on or off."""
        fcntl.fcntl(self._watch, fcntl.F_SETFL, os.O_NONBLOCK | (os.O_ASYNC if on else 0))

    def close(self) -> None:
        """Stop watching."""
        self._forget_governor()
        self._epoll.close()
        self._watch.close()

    def _take(self, status: PowerStatus, gone: int) -> None:
        if gone and status.pid == gone and status.state is not PowerState.UNKNOWN:
            status = power.governor_ended(gone)  # its parent has not reaped it yet, so the process id still seems alive
        pid = status.pid if status.state is not PowerState.UNKNOWN else 0
        if self._governor is None or self._governor[0] != pid:
            self._forget_governor()
            if pid:
                try:
                    self._governor = (pid, os.pidfd_open(pid))
                    self._epoll.register(self._governor[1], select.EPOLLIN)
                except ProcessLookupError:  # it has ended since the read
                    status = power.governor_ended(pid)
                except OSError:  # no free descriptor: only a report that is too old, or a new one, is noticed then
                    pass
        left_s = power.expires_in(status)
        self._expires_at = None if left_s is None else time.monotonic() + left_s
        self._status = status
        self._version += 1

    def _forget_governor(self) -> None:
        governor, self._governor = self._governor, None
        if governor is not None:
            with suppress(OSError):
                self._epoll.unregister(governor[1])
            with suppress(OSError):  # a body closed it
                os.close(governor[1])
