"""Tells when the governor speaks: by a file descriptor to the idle loop, by a signal to a running body."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from pathlib import Path

from edge.core.watch import Watch

_F_SETOWN_EX, _F_OWNER_TID = 15, 0


class PowerWatcher:
    """Changes of one file in a folder that others write into as well.

    One inotify descriptor serves both: the kernel sends SIGIO to the main thread only while `signals` is on, so an
    idle worker wakes no more often than before, and a job of a moment costs two system calls.
    """

    def __init__(self, path: Path) -> None:
        """Watch `path`, whose folder is there. In the main thread."""
        self._name = path.name
        self._watch = Watch(path.parent)
        #: The file changed, and the gate has not read it since.
        self.stale = True
        owner = struct.pack("ii", _F_OWNER_TID, threading.get_native_id())
        # To this very thread: another one would leave the body asleep in what it waits for.
        fcntl.fcntl(self._watch, _F_SETOWN_EX, owner)

    def fileno(self) -> int:
        """Readable when something changed."""
        return self._watch.fileno()

    def look(self) -> bool:
        """Take in what happened; True when the file changed since the last call. Never blocks."""
        changed = self._watch.read().may_touch(self._name)
        self.stale |= changed
        return changed

    def signals(self, on: bool) -> None:
        """Send SIGIO at each change from now on, or no longer."""
        fcntl.fcntl(self._watch, fcntl.F_SETFL, os.O_NONBLOCK | (os.O_ASYNC if on else 0))

    def close(self) -> None:
        """Watch no longer."""
        self._watch.close()
