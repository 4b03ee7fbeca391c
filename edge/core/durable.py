"""Files that survive a power cut: written whole, synced, then named.

Facts these functions rest on: rename and link are atomic on one file system; a name is durable only
after an fsync of its folder; after a failed fsync the kernel may have dropped the pages, so a retry on
the same file proves nothing. Every function here therefore raises the `OSError` and writes a new file the next time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.core.host import process_alive


def has_free_space(folder: Path, size_bytes: int) -> bool:
    """True when the file system of `folder` takes a file of that size: bytes, inodes, not read-only."""
    disk = os.statvfs(folder)
    inodes = disk.f_favail > 0 or disk.f_files == 0
    return not disk.f_flag & os.ST_RDONLY and inodes and disk.f_bavail * disk.f_frsize >= size_bytes


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Works with read permission alone."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the content of `path` durable, its name not."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def check_written(fd: int) -> None:
    """Raise the error of a write to the open file `fd` that the kernel made in the background, and failed to.

    The kernel reports such an error once to each file that is open, and to the next one that is opened if nobody was
    told before. After that the file reads well, from memory, and its content is lost. Pages that are being written are
    waited for; nothing is flushed.
    """
    if _sync_file_range(fd) != 0:
        number = ctypes.get_errno()
        if number not in _NO_RANGES:
            raise OSError(number, os.strerror(number))


def _sync_file_range(fd: int) -> int:
    """Call sync_file_range(2) for the whole file, which the module `os` does not have."""
    return int(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_WAIT_BEFORE)))


_WAIT_BEFORE = 1
#: A file system or a kernel that knows no ranges.
_NO_RANGES = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})


def sync_file_system(fd: int) -> None:
    """Make all files and names on the file system of the open descriptor `fd` durable, with one flush of the disk.

    The kernel (Linux 5.8 and later) reports every failed write since `fd` was opened, so open it before writing.

    Raises:
        OSError: something that was written to the file system since then may be lost.
    """
    if _syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _syncfs(fd: int) -> int:
    """Call syncfs(2), which the module `os` does not have."""
    return int(_libc.syncfs(fd))


_libc = ctypes.CDLL(None, use_errno=True)


def make_folder(folder: Path, *, mode: int = 0o770) -> None:
    """Create `folder` and missing parents, each new name durable; an existing folder costs one stat."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode=mode)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    sync_folder(folder.parent)


@contextmanager
def _written(temp: Path, data: bytes, mode: int) -> Iterator[None]:
    """`temp` holds `data`, synced, inside the block; it is gone after it."""
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        yield
    finally:
        temp.unlink(missing_ok=True)


def publish(path: Path, data: bytes, *, temp: Path, mode: int = 0o640) -> bool:
    """Give `data` the name `path` for ever: never replaces, never torn, durable on return.

    `temp` is a name on the same file system; it vanishes only after `path` is durable, so whoever
    watches for its removal (inotify) never learns of a result that a power cut could take back.
    Returns False when `path` was there already: that one stands, and is durable on return too.

    The data is written under a name of this call's own: `temp` may still be the published file itself, left by
    a crash or held by another process in this very function, and writing through it would change the result. That
    name tells whose it is, see `abandoned`.
    """
    private = private_name(temp)
    with _written(private, data, mode):
        ours = link(private, path)
        sync_folder(path.parent)
        private.replace(temp)
        temp.unlink(missing_ok=True)
    return ours


def private_name(temp: Path) -> Path:
    """Return the name under which this call writes what is to become `temp`; `abandoned` tells whose it is."""
    return temp.with_name(f".{temp.name}.{os.getpid()}.{secrets.token_hex(4)}")


def link(source: Path | str, path: Path | str) -> bool:
    """Give the file `source` the further name `path`, never replacing: False when `path` is there already."""
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    return True


def write(path: Path | str, data: bytes, *, mode: int = 0o640) -> None:
    """Write `data` to the new file `path`; neither content nor name is durable yet. Nothing is left on OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)
    except OSError:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - `path` may be a string
        raise


def _write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, which the kernel may take in pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def abandoned(path: Path) -> bool:
    """False for the private file of a write in another process that lives: what is in its hands is not litter."""
    *_, pid, _ = ["", *path.name.rsplit(".", 2)]
    return not (path.name.startswith(".") and pid.isdigit() and int(pid) != os.getpid() and process_alive(int(pid)))


def replace(path: Path, data: bytes, *, mode: int = 0o640, shared: bool = False) -> None:
    """Put `data` at `path` in place of what was there; a cut leaves the old or the new, never a mix.

    One writer at a time: the name of the temporary file is fixed, so that crashes leave no litter. Where a file is
    `shared` by several writers each has its own, and who starts next drops those that are `abandoned`.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp" if shared else f".{path.name}.tmp")
    with _written(temp, data, mode):
        temp.replace(path)
        sync_folder(path.parent)


def replace_volatile(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """As `replace`, for tmpfs: readers see the old or the new, a power cut takes it. One writer at a time."""
    temp = path.with_name(f".{path.name}.tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    temp.replace(path)
