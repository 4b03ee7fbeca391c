"""Limits the disk space that a program uses. The kernel limits each file; a check each second limits all together.

The check measures the folders only if the disk has lost 4 MiB since the last measurement. No quota works on every file
system and for every user. So a program may exceed its limit for a second.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from edge.model import FailureCode
from edge.worker.command.failure import ProgramFailed

#: The keys that limit the disk space of a program.
BOUND = "disk_mb, or worker.max_artifact_bytes"
#: This space must stay free for the ledger, the broker and the results of other jobs.
FREE_BYTES = 64 << 20
#: The folders are measured only if the free space has shrunk by this since the last measurement.
_STEP_BYTES = 4 << 20
_FILE_BYTES = 4096
#: Deeper folders end the program, because folders beyond the longest path cannot be measured.
_DEEPEST = 200


class DiskGuard:
    """Watches the folders that one run writes: its working folder and its checkpoint folder.

    Belongs to the thread of the body.
    """

    def __init__(self, folder: Path, *more: Path, most_bytes: int) -> None:
        """Watch `folder` and `more`, which may have `most_bytes` together."""
        self._folder, self._more, self._most = folder, more, most_bytes
        self._measured_at = _free(folder)

    def look(self) -> None:
        """Raise ProgramFailed if the folders are too large, OSError (ENOSPC) if the disk is almost full."""
        free = _free(self._folder)
        if self._measured_at - free < min(_STEP_BYTES, self._most) and free >= FREE_BYTES:
            return
        self._measured_at = free
        size = sum(size_of(each) for each in (self._folder, *self._more))
        if size > self._most:
            raise ProgramFailed(
                FailureCode.TOO_LARGE,
                f"the program wrote {size} bytes into its folders; at most {self._most} are allowed ({BOUND})",
            )
        if free < FREE_BYTES and size:
            raise OSError(
                errno.ENOSPC,
                f"{os.strerror(errno.ENOSPC)}: program ended, {free} bytes are free, {FREE_BYTES} must be free",
            )


def size_of(folder: Path) -> int:
    """Return the bytes that the files below `folder` take on the disk. Raises ProgramFailed if folders are too deep.

    An empty file counts as 4 KiB, because it takes an inode.
    """
    total, left, depth = 0, [str(folder)], str(folder).count(os.sep)
    while left:
        top = left.pop()
        if top.count(os.sep) - depth > _DEEPEST:
            raise ProgramFailed(FailureCode.TOO_LARGE, f"the program made folders more than {_DEEPEST} deep")
        with suppress(OSError), os.scandir(top) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    else:
                        total += max(entry.stat(follow_symlinks=False).st_blocks * 512, _FILE_BYTES)
    return total


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
