"""Locks that keep two workers of one board from running the program of the same job at the same time.

After a power cut the broker may hold two copies of a job's message and deliver each to another worker. A Python body
may run twice. Two runs of a program would write into the same EDGE_CHECKPOINT folder, and each would break the other.
"""

from __future__ import annotations

import fcntl
import os
from hashlib import blake2b
from pathlib import Path


class ProgramLocks:
    """The locks that this process holds. Belongs to the main thread.

    Each job locks one byte of a common file, so no file is left over. The locks are POSIX locks: they belong to the
    process, a child that a body forks does not inherit them, and the kernel releases them when the process dies.
    """

    def __init__(self, path: Path) -> None:
        """Take the path of the common file. It is opened at the first lock, and stays open."""
        self._path = path
        self._fd = -1
        self._held: set[str] = set()

    def take(self, job_id: str) -> bool:
        """Lock a job; False if another process holds its lock. Raises OSError."""
        if job_id in self._held:
            return True
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(job_id))
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
            return False
        self._held.add(job_id)
        return True

    def release(self, job_id: str) -> None:
        """Release the lock of a job, if this process holds it. Raises OSError."""
        if job_id in self._held:
            self._held.discard(job_id)
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _offset(job_id))


def _offset(job_id: str) -> int:
    """Return the byte that stands for a job: its number has 62 bits, so two jobs practically never share one."""
    return int.from_bytes(blake2b(job_id.encode(), digest_size=8).digest()) >> 2
