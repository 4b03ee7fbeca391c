"""Controls the volatile disk: starts the device process, cuts its power, makes it fail, reads its counts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.powercut.pages import Keep

Event = Literal["read", "write", "flush"]


class Cut(msgspec.Struct, frozen=True):
    """What a cut did: its monotonic time, what it kept, and what the disk had done until then."""

    at: float
    keep: Keep
    kept: int
    at_stake: int
    writes: int
    written_bytes: int
    flushes: int
    flushed_bytes: int


class Traffic(msgspec.Struct, frozen=True):
    """The counts of the disk since it was attached; `flushed_bytes` is what a card would have had to write."""

    dirty: int
    dead: bool
    reads: int
    writes: int
    written_bytes: int
    flushes: int
    flushed_bytes: int
    journal_bytes: int = 0  # the part of the flushed bytes that went to ext4's journal


class Disk:
    """One power-on of the disk: from its start until its cut or `close`."""

    def __init__(self, folder: Path, backing: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.powercut.device", folder, backing, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._control = ours
        self._control.settimeout(20.0)
        self._await_mount()

    @property
    def file(self) -> Path:
        """The file that is the disk, for a loop device."""
        return self._folder / "disk"

    def cut(self, seed: int) -> Cut:
        """Cut the power now, and return what the cut did; if an armed cut came first, return that one."""
        return msgspec.convert(self._ask(do="cut", seed=seed), Cut)

    def arm(self, at: Event, count: int, seed: int) -> None:
        """Cut the power in place of the `count`-th next write or flush, which fails, as does everything after it."""
        self._ask(do="arm", at=at, count=count, seed=seed)

    def fail(self, what: Event, code: int, count: int = -1) -> None:
        """Answer the next `count` reads, writes or flushes with errno `code`; with -1, all until `mend`."""
        self._ask(do="fail", what=what, errno=code, count=count)

    def mend(self) -> None:
        """End all failures."""
        self._ask(do="mend")

    def journal(self, extents: list[tuple[int, int]]) -> None:
        """Tell the disk which blocks are ext4's journal, as (first, last) of each extent."""
        self._ask(do="journal", extents=extents)

    def traffic(self) -> Traffic:
        """Return the current counts."""
        return msgspec.convert(self._ask(do="count"), Traffic)

    def close(self) -> None:
        """Unmount and end the process; unflushed data is lost."""
        subprocess.run(["umount", "--lazy", self._folder], check=False, capture_output=True)
        self._control.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, **order: Any) -> Any:
        with self._lock:
            self._control.send(json.dumps(order).encode())
            return json.loads(self._control.recv(65536))

    def _await_mount(self) -> None:
        deadline = time.monotonic() + 20.0
        while not os.path.ismount(self._folder):
            if self._process.poll() is not None:
                raise RuntimeError(f"the disk's process ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError("the disk's process does not mount")
            time.sleep(0.01)
