"""Changes of files told by the kernel: inotify by ctypes, as asyncinotify would bring 5 MB of asyncio along."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

_IN_CLOSE_WRITE, _IN_MOVED_FROM, _IN_MOVED_TO, _IN_DELETE = 0x8, 0x40, 0x80, 0x200
_MASK = _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_DELETE
_EVENT = struct.Struct("iIII")


class Watch:
    """A file descriptor that becomes readable when a file in one of the folders is written, renamed or removed."""

    def __init__(self, *folders: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        for folder in folders:
            self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK), str(folder))

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def names(self) -> set[str]:
        """The files that changed since the last call, by name; never blocks."""
        names: set[str] = set()
        with suppress(BlockingIOError):
            while data := os.read(self._fd, 4096):
                at = 0
                while at < len(data):
                    _, _, _, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size
                    names.add(os.fsdecode(data[at : at + length].rstrip(b"\0")))
                    at += length
        return names

    def close(self) -> None:
        """Stop watching; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _checked(self, result: int, what: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)
        return result
