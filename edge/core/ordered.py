"""Makes content and name durable with one commit, on file systems that keep the order of changes.

Such a file system never makes a name durable before earlier changes, so the content needs no separate sync. ext4 with
its journal in `data=ordered` is one. Its journal holds all changes of files and folders in their order, and a commit
begins with a flush of the disk. `write_out` passes the bytes of a file to the disk. After that, the journal holds its
blocks and its length, and a name that is made later becomes durable only together with them. One commit then serves
content and name. Unlike syncfs(2) it does not wait for the bytes of other programs.

Without `write_out` a name could survive a power cut without its content, because ext4 assigns blocks late, after the
name. sync_file_range(2) alone promises nothing of this, so use it only if `keeps_order` returns True.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_BEFORE, _WRITE, _AFTER = 1, 2, 4
_DEVICES = Path("/sys/dev/block")
_EXT4 = Path("/proc/fs/ext4")
#: Options that ext4 shows if a commit flushes the disk and data is not journaled. It shows none without a journal.
_WANTED = {"data=ordered", "barrier"}


def keeps_order(device: int, *, devices: Path = _DEVICES, ext4: Path = _EXT4) -> bool:
    """Return True if the file system of `device` (an `st_dev`) keeps the order; False also if that is not known."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        name = (devices / number).resolve(strict=True).name
        options = (ext4 / name / "options").read_text(errors="replace").split()
    except OSError:
        return False
    return _WANTED.issubset(options) and hasattr(_libc, "sync_file_range")


def write_out(paths: Iterable[Path | str]) -> None:
    """Pass the content of these files to the disk and wait until the disk has received it. Nothing is durable yet.

    Raises:
        OSError: some of the content may be lost.
    """
    files = list(paths)
    if len(files) > 1:  # start writing all files before waiting for the first
        for path in files:
            _hand_over(path, _WRITE)
    for path in files:
        _hand_over(path, _BEFORE | _WRITE | _AFTER)


def _hand_over(path: Path | str, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _sync_file_range(fd, flags) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(path))
    finally:
        os.close(fd)


def _sync_file_range(fd: int, flags: int) -> int:
    """Call sync_file_range(2), which the module `os` does not have, for the whole file."""
    return int(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(flags)))


_libc = ctypes.CDLL(None, use_errno=True)
