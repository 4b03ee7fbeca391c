"""Reports changes in folders. This is the only use of inotify.

It calls inotify through ctypes, because the package asyncinotify imports asyncio and needs more memory. Measured PSS of
an idle process, with ctypes and with asyncinotify: 8.3 MB and 12.2 MB in a process that does nothing else, 29.9 MB and
31.0 MB in a worker, 13.2 MB and 13.8 MB in a process that uses asyncio already. Neither wakes up while nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from enum import IntFlag
from pathlib import Path

import msgspec

_EVENT = struct.Struct("iIII")
_READ_BYTES = 16_384
_MOVE_SELF, _Q_OVERFLOW, _IGNORED, _ONLYDIR = 0x800, 0x4000, 0x8000, 0x0100_0000


class On(IntFlag):
    """The changes of a file in a watched folder, as inotify reports them."""

    MODIFIED = 0x2  # content was written
    ATTRIBUTES = 0x4  # times, mode or owner changed
    WRITTEN = 0x8  # closed by a process that had opened it for writing
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATED = 0x100
    DELETED = 0x200


#: A file was closed after writing, moved in or out, or deleted. New folders and links are not reported.
CHANGED = On.WRITTEN | On.MOVED_FROM | On.MOVED_TO | On.DELETED


class Changes(msgspec.Struct, frozen=True):
    """The changes since the last call of `Watch.read`.

    Args:
        by_folder: names of the changed files of each folder; a folder without a change is not in it.
        gone: folders that were removed or moved away. They are not watched until `Watch.add` is called again.
        overflow: True if there were more changes than the kernel keeps, so that some are missing.
    """

    by_folder: Mapping[Path, frozenset[str]] = {}
    gone: frozenset[Path] = frozenset()
    overflow: bool = False

    @property
    def lost(self) -> bool:
        """True if names may be missing, so that the caller must look at every file."""
        return self.overflow or bool(self.gone)

    @property
    def names(self) -> frozenset[str]:
        """The names of the changed files of all folders."""
        return frozenset().union(*self.by_folder.values())

    def of(self, folder: Path) -> frozenset[str]:
        """Return the names of the changed files of `folder`."""
        return self.by_folder.get(folder, frozenset())

    def may_touch(self, *names: str) -> bool:
        """Return True if a file with one of these names has changed, or may have changed."""
        return self.lost or not self.names.isdisjoint(names)


class Watch:
    """A descriptor that becomes readable when a file changes in one of the folders.

    It has no thread and never blocks. A loop waits for `fileno`: by `selector.register(watch, ...)`, by `poll`, or in
    asyncio by `loop.add_reader(watch, ...)`. Then it calls `read`. A watch belongs to one thread.
    """

    def __init__(self, *folders: Path, on: On = CHANGED) -> None:
        """Watch `folders`, which must exist. Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folders: dict[int, Path] = {}
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        try:
            for folder in folders:
                self.add(folder, on=on)
        except OSError:
            self.close()
            raise

    def add(self, folder: Path, *, on: On = CHANGED) -> None:
        """Watch `folder` too, or watch it again after it was `gone`. Raises OSError."""
        mask = on | _MOVE_SELF | _ONLYDIR
        number = self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask), str(folder))
        self._folders[number] = folder

    def fileno(self) -> int:
        """Return the descriptor, or -1 after `close`."""
        return self._fd

    def read(self) -> Changes:
        """Return the changes since the last call."""
        names: dict[Path, set[str]] = {}
        gone, overflow = set[Path](), False
        with suppress(BlockingIOError):
            while data := os.read(self._fd, _READ_BYTES):
                at = 0
                while at < len(data):
                    number, mask, _, length = _EVENT.unpack_from(data, at)
                    name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                    at += _EVENT.size + length
                    if mask & _Q_OVERFLOW:
                        overflow = True
                    elif mask & (_IGNORED | _MOVE_SELF):
                        if folder := self._folders.pop(number, None):
                            gone.add(folder)
                        if mask & _MOVE_SELF:  # otherwise inotify would continue to watch the moved folder
                            self._libc.inotify_rm_watch(self._fd, number)
                    elif name and number in self._folders:
                        names.setdefault(self._folders[number], set()).add(os.fsdecode(name))
        return Changes({folder: frozenset(found) for folder, found in names.items()}, frozenset(gone), overflow)

    def close(self) -> None:
        """Stop watching. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _checked(self, result: int, what: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)
        return result
