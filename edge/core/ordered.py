"""File systems that never make a name durable before earlier changes: content needs no sync of its own there.

ext4 with its journal in `data=ordered` is one. Its journal holds all changes of files and folders in the order in which
they were made, and a commit begins with a flush of the disk. So once a file's bytes were handed to the disk
(`write_out`), its blocks and its length stand in the journal, and a name that is made after that is durable only
together with them. One commit then serves content and name, and it waits for no other program's bytes, as syncfs(2)
does. Where the bytes are not handed over first, a name could come back from a cut without them: ext4 assigns blocks
late, and so after the name.

sync_file_range(2) promises none of that by itself, so use it only where `keeps_order` says so.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_BEFORE, _WRITE, _AFTER = 1, 2, 4
_DEVICES = Path("/sys/dev/block")
_EXT4 = Path("/proc/fs/ext4")
#: The options that ext4 shows when a commit flushes the disk and data is not journaled. None without a journal.
_WANTED = {"data=ordered", "barrier"}


def keeps_order(device: int, *, devices: Path = _DEVICES, ext4: Path = _EXT4) -> bool:
    """True when the file system of `device` (an `st_dev`) keeps the order; False when that cannot be found out."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        name = (devices / number).resolve(strict=True).name
        options = (ext4 / name / "options").read_text(errors="replace").split()
    except OSError:
        return False
    return _WANTED.issubset(options) and hasattr(_libc, "sync_file_range")


def write_out(paths: Iterable[Path | str]) -> None:
    """Pass the content of all these files to the disk and wait until it has it; nothing is durable yet.

    Raises:
        OSError: some of the content may be lost.
    """
    files = list(paths)
    if len(files) > 1:  # pass all of them on before waiting for the first
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
    """Call sync_file_range(2) for the whole file, which the module `os` does not have."""
    return int(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(flags)))


_libc = ctypes.CDLL(None, use_errno=True)
