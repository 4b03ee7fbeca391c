"""Writes files that survive a power cut: the whole content first, then a sync, then the name.

The functions rely on these facts:

- rename and link are atomic on one file system;
- a name is durable only after an fsync of its folder;
- after a failed fsync the kernel may have dropped the pages, so a second fsync of the same file proves nothing.

Therefore every function here raises the `OSError`, and a new call writes a new file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.core import mounts
from edge.core.host import process_alive


def has_free_space(folder: Path, size_bytes: int) -> bool:
    """Return True if the file system of `folder` has room for a file of that size, a free inode, and is writable."""
    disk = os.statvfs(folder)
    inodes = disk.f_favail > 0 or disk.f_files == 0
    return not disk.f_flag & os.ST_RDONLY and inodes and disk.f_bavail * disk.f_frsize >= size_bytes


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Works with read permission alone."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
        check_writable(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make the content of `path` durable, but not its name."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        check_writable(fd)
    finally:
        os.close(fd)


def check_writable(file: int | Path) -> None:
    """Raise OSError if the file system of `file` has stopped writing. Call it after a sync that succeeded.

    ext4 gives up its journal when the disk fails to write a block of it. An fsync(2) that another process calls at that
    moment can return 0, although its changes are lost: Linux 6.18 did so for 2 of 60 failed writes under load.

    The call removes an attribute that does not exist. That begins a transaction and changes nothing, so it costs no
    write; on a file system that has stopped it fails with EROFS. It takes 4 microseconds. A folder that only our mount
    of it makes read-only, as systemd does for a unit, says nothing. Other errors, as for missing permission or a file
    system without attributes, do not either.
    """
    try:
        os.removexattr(file, "user.edge")
    except OSError as err:
        if err.errno in _STOPPED and not (err.errno == errno.EROFS and mounts.only_mount_is_read_only(file)):
            raise


_STOPPED = frozenset({errno.EROFS, errno.EIO, errno.ESHUTDOWN})


def check_written(fd: int) -> None:
    """Raise OSError if the kernel failed to write pages of the open file `fd` in the background.

    The kernel reports such an error once to each open descriptor, or to the next descriptor that is opened if there was
    none. After that the file can still be read from memory, although its content is lost on the disk. This call waits
    for pages that are being written. It does not flush other pages.
    """
    if _sync_file_range(fd) != 0:
        number = ctypes.get_errno()
        if number not in _NO_RANGES:
            raise OSError(number, os.strerror(number))


def _sync_file_range(fd: int) -> int:
    """Call sync_file_range(2), which the module `os` does not have, for the whole file."""
    return int(_libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_WAIT_BEFORE)))


_WAIT_BEFORE = 1
#: Error numbers of a file system or a kernel that does not support sync_file_range(2).
_NO_RANGES = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})


def sync_file_system(fd: int) -> None:
    """Make all files and names on the file system of the open descriptor `fd` durable, with one flush of the disk.

    The kernel (Linux 5.8 and later) reports every write that failed since `fd` was opened. So open it before writing.

    Raises:
        OSError: data that was written to the file system since then may be lost.
    """
    if _syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    check_writable(fd)


def _syncfs(fd: int) -> int:
    """Call syncfs(2), which the module `os` does not have."""
    return int(_libc.syncfs(fd))


_libc = ctypes.CDLL(None, use_errno=True)


def make_folder(folder: Path, *, mode: int = 0o770) -> None:
    """Create `folder` and its missing parents, and make each new name durable. An existing folder costs one stat."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode=mode)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    sync_folder(folder.parent)


@contextmanager
def _written(temp: Path, data: bytes, mode: int) -> Iterator[None]:
    """Provide `temp` with `data`, synced, inside the block. It is removed after the block."""
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
    """Write `data` to the new file `path`. Never replaces a file, never leaves a torn one, and is durable on return.

    The data is first written under a unique private name. `temp` may still be a second link to the published file, left
    by a crash or used by another process in this function, and writing to it would change the result. The private name
    contains the process id, see `abandoned`.

    Args:
        path: the new file.
        data: its content.
        temp: a name on the same file system. It is removed only after `path` is durable. So a process that watches for
            its removal (inotify) never announces a result that a power cut could lose.
        mode: permissions of the file.

    Returns:
        False if `path` existed before. That file stays, and is durable on return too.

    Raises:
        OSError: the file could not be written or made durable.
    """
    private = private_name(temp)
    with _written(private, data, mode):
        ours = link(private, path)
        sync_folder(path.parent)
        private.replace(temp)
        temp.unlink(missing_ok=True)
    return ours


def private_name(temp: Path) -> Path:
    """Return a unique name for a file that is later renamed to `temp`. It contains the process id, see `abandoned`."""
    return temp.with_name(private(temp.name))


def private(name: str) -> str:
    """Return the unique name for a file that is later renamed to `name`, without its folder. See `private_name`."""
    return f".{name}.{os.getpid()}.{secrets.token_hex(4)}"


def link(source: Path | str, path: Path | str) -> bool:
    """Give the file `source` the second name `path`. Return False, and change nothing, if `path` exists already."""
    try:
        os.link(source, path)
    except FileExistsError:
        return False
    return True


def write(path: Path | str, data: bytes, *, mode: int = 0o640) -> None:
    """Write `data` to the new file `path`, and leave no file on OSError. Content and name are not durable yet."""
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
    """Write all of `data`. The kernel may accept it in several pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def abandoned(path: Path) -> bool:
    """Return False for a private file that another living process is writing, True for any other file."""
    *_, pid, _ = ["", *path.name.rsplit(".", 2)]
    return not (path.name.startswith(".") and pid.isdigit() and int(pid) != os.getpid() and process_alive(int(pid)))


def replace(path: Path, data: bytes, *, mode: int = 0o640, shared: bool = False) -> None:
    """Write `data` to `path`, durable on return. A power cut leaves the old content or the new. Raises OSError.

    There may be one writer at a time, because the temporary file has a fixed name, so that crashes leave at most one.
    With `shared` each process has its own temporary name, and a process removes `abandoned` files when it starts.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp" if shared else f".{path.name}.tmp")
    with _written(temp, data, mode):
        temp.replace(path)
        sync_folder(path.parent)


def replace_volatile(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Write `data` to `path` on tmpfs. Readers see the old content or the new. Raises OSError.

    There may be one writer at a time.
    """
    temp = path.with_name(f".{path.name}.tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    temp.replace(path)
