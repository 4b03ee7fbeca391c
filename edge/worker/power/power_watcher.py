"""What the governor says, read when there is news: a descriptor tells the loop, a signal tells a running body."""

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

_F_SETOWN_EX, _F_OWNER_TID = 15, 0


class PowerWatcher:
    """The governor's word, as it counts now. Belongs to the main thread.

    News is a change of its file, its death, which the kernel tells, or a word that grew too old. The kernel sends
    SIGIO to the main thread only while `signals` is on, so an idle worker wakes no more often than it has to.
    """

    def __init__(self, path: Path) -> None:
        """Watch `path`, whose folder is there. In the main thread."""
        self._path = path
        self._watch = Watch(path.parent)
        self._epoll = select.epoll()
        self._epoll.register(self._watch.fileno(), select.EPOLLIN)
        self._governor: tuple[int, int] | None = None  # pid and pidfd
        self._stale = True
        self._version = 0
        self._void_at: float | None = None
        self._status = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        owner = struct.pack("ii", _F_OWNER_TID, threading.get_native_id())
        # To this very thread: another one would leave the body asleep in what it waits for.
        fcntl.fcntl(self._watch, _F_SETOWN_EX, owner)

    @property
    def status(self) -> PowerStatus:
        """The governor's word as it was read last."""
        return self._status

    @property
    def version(self) -> int:
        """Another number each time the word was read."""
        return self._version

    @property
    def stale(self) -> bool:
        """True when the file changed and was not read since."""
        return self._stale

    @property
    def expires_in_s(self) -> float | None:
        """Seconds after which to `look` though nothing was heard; None where age alone ends nothing."""
        return None if self._void_at is None else max(self._void_at - time.monotonic(), 0.0)

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._epoll.fileno()

    def look(self) -> bool:
        """Take in the news; True when there was any. One system call when there is none, which is before each job."""
        gone = 0
        for fd, _ in self._epoll.poll(0):
            if fd == self._watch.fileno():
                self.changed()
            elif self._governor is not None:
                gone = self._governor[0]
        overdue = self._void_at is not None and time.monotonic() >= self._void_at
        if not (self._stale or gone or overdue):
            return False
        self._stale = False  # first: a signal's handler may set it again while we read
        self._take(power.read(self._path), gone)
        return True

    def changed(self) -> bool:
        """Take in that the file changed, not what it says; True when it did. For signal handlers, too."""
        changed = self._watch.read().may_touch(self._path.name)
        self._stale |= changed
        return changed

    def signals(self, on: bool) -> None:
        """Send SIGIO at each change from now on, or no longer."""
        fcntl.fcntl(self._watch, fcntl.F_SETFL, os.O_NONBLOCK | (os.O_ASYNC if on else 0))

    def close(self) -> None:
        """Watch no longer."""
        self._forget_governor()
        self._epoll.close()
        self._watch.close()

    def _take(self, status: PowerStatus, gone: int) -> None:
        if gone and status.pid == gone and status.state is not PowerState.UNKNOWN:
            status = power.died(gone)  # its parent has not taken note yet
        pid = status.pid if status.state is not PowerState.UNKNOWN else 0
        if self._governor is None or self._governor[0] != pid:
            self._forget_governor()
            if pid:
                try:
                    self._governor = (pid, os.pidfd_open(pid))
                    self._epoll.register(self._governor[1], select.EPOLLIN)
                except ProcessLookupError:  # gone since it was read
                    status = power.died(pid)
                except OSError:  # no descriptor to be had: its age, and what it says next, are left
                    pass
        left_s = power.expires_in(status)
        self._void_at = None if left_s is None else time.monotonic() + left_s
        self._status = status
        self._version += 1

    def _forget_governor(self) -> None:
        governor, self._governor = self._governor, None
        if governor is not None:
            with suppress(OSError):
                self._epoll.unregister(governor[1])
            with suppress(OSError):  # a body closed it
                os.close(governor[1])
