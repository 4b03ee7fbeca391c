"""How much a program writes: a single file is bounded by the kernel, all of them together by a look each second.

The look measures the folder when the disk has lost 4 MiB since the last measurement.
There is no quota that every file system and every user has. So a program may be over its bound for a second.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from edge.model import FailureCode
from edge.worker.command.failure import ProgramFailed

#: The keys that bound what a program writes.
BOUND = "disk_mb, or worker.max_artifact_bytes"
#: So much stays free for the ledger, the broker and the results of others.
FREE_BYTES = 64 << 20
#: The folder is measured only when the disk has so much less room than at the last measurement.
_STEP_BYTES = 4 << 20
_FILE_BYTES = 4096
#: Deeper folders end the program: beyond the longest path nothing can be measured.
_DEEPEST = 200


class DiskGuard:
    """Watches the folders that one run writes: its working folder, and that of its checkpoint."""

    def __init__(self, folder: Path, *more: Path, most_bytes: int) -> None:
        self._folder, self._more, self._most = folder, more, most_bytes
        self._measured_at = _free(folder)

    def look(self) -> None:
        """Raise ProgramFailed when the folder is too large, OSError (ENOSPC) when the disk is almost full."""
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
                f"{os.strerror(errno.ENOSPC)}: program ended, {free} bytes are free of {FREE_BYTES} that must be",
            )


def size_of(folder: Path) -> int:
    """Bytes that the files below `folder` take on the disk; an empty one counts too, as it takes an inode."""
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
