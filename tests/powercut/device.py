"""The process of the disk: a FUSE file system with one file, `disk`, over `Pages`.

The command is `python -m tests.powercut.device MOUNTPOINT BACKING FD`. FD is one end of a socket pair. Each message is
a JSON object, and so is each answer. If the other end closes, the process ends.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import socket
import stat
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import mfusepy

from tests.powercut.pages import PAGE, Pages

_NAME = "/disk"


class Counts:
    """The counts of the disk since it was attached."""

    def __init__(self) -> None:
        self.reads = self.writes = self.written_bytes = self.flushes = self.flushed_bytes = 0
        self.journal_bytes = 0


class Device:
    """The file system. FUSE calls it on one thread, and orders arrive on another; `_lock` guards the shared state."""

    use_ns = True

    def __init__(self, backing: Path, control: socket.socket) -> None:
        self._fd = os.open(backing, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._pages = Pages(self._fd)
        self._control = control
        self._lock = threading.Lock()
        self._dead = False
        self._fuse: tuple[str, int, int] | None = None  # the armed cut: (write or flush, how many until then, seed)
        self._faults: dict[str, tuple[int, int]] = {}  # read, write or flush -> (errno, how many more; -1 for all)
        self._counts = Counts()
        self._journal: list[list[int]] = []

    # ---- FUSE ----

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path != _NAME:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", _NAME[1:]]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        with self._lock:
            self._check("read")
            self._counts.reads += 1
            return self._pages.read(offset, min(size, self._size - offset))

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        with self._lock:
            self._check("write")
            self._counts.writes += 1
            self._counts.written_bytes += len(data)
            self._pages.write(offset, data)
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        with self._lock:
            self._check("flush")
            self._counts.flushes += 1
            self._counts.journal_bytes += PAGE * sum(self._in_journal(page) for page in self._pages.dirty)
            self._counts.flushed_bytes += self._pages.flush()
        return 0

    def _in_journal(self, page: int) -> bool:
        return any(first <= page <= last for first, last in self._journal)

    # ---- orders ----

    def serve(self) -> None:
        """Answer orders until the other end closes, then end the process."""
        while order := self._control.recv(65536):
            answer = self._obey(json.loads(order))
            self._control.send(json.dumps(answer).encode())
        with self._lock:
            self._dead = True
        os.kill(os.getpid(), signal.SIGTERM)

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            match order["do"]:
                case "cut":
                    if not self._dead:
                        self._cut(order["seed"])
                    return self._last_cut
                case "arm":
                    self._fuse = (order["at"], order["count"], order["seed"])
                case "fail":
                    self._faults[order["what"]] = (order["errno"], order["count"])
                case "journal":
                    self._journal = order["extents"]
                case "mend":
                    self._faults.clear()
            return {"dirty": len(self._pages.dirty), "dead": self._dead, **vars(self._counts)}

    def _check(self, what: str) -> None:
        if self._fuse is not None and self._fuse[0] == what and not self._dead:
            at, count, seed = self._fuse
            self._fuse = (at, count - 1, seed)
            if count <= 1:
                self._cut(seed)
        if self._dead:
            raise mfusepy.FuseOSError(errno.EIO)
        if what in self._faults:
            code, count = self._faults[what]
            if count != 0:
                self._faults[what] = (code, count - 1)
                raise mfusepy.FuseOSError(code)

    def _cut(self, seed: int) -> None:
        keep, kept, at_stake = self._pages.cut(random.Random(seed))
        self._dead = True
        self._last_cut = {
            "at": time.monotonic(),
            "keep": keep,
            "kept": kept,
            "at_stake": at_stake,
            **vars(self._counts),
        }


def main() -> None:
    """Mount and serve until the file system is unmounted or the parent process is gone."""
    mountpoint, backing, fd = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the campaign, which then detaches in order
    device = Device(Path(backing), socket.socket(fileno=int(fd)))
    threading.Thread(target=device.serve, daemon=True).start()
    with suppress(RuntimeError):  # libfuse raises this if a signal ends it, and prints every other error
        mfusepy.FUSE(
            device,
            mountpoint,
            foreground=True,
            nothreads=True,
            fsname="edge-powercut",
            attr_timeout=86400,
            entry_timeout=86400,
        )


if __name__ == "__main__":
    main()
