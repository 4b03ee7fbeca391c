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
    write; on a file system that has stopped it fails with EROFS. It takes 4 microseconds. Other errors, as for missing
    permission or a file system without attributes, say nothing and are ignored.
    """
    try:
        os.removexattr(file, "user.edge")
    except OSError as err:
        if err.errno in _STOPPED:
            raise


_STOPPED = frozenset({errno.EROFS, errno.EIO, errno.ESHUTDOWN})


def check_written(fd: int) -> None:
    """Raise OSError if the kernel failed to write pages of the open file `fd` in the background.

    The kernel reports such an error once to each open descriptor, or to the next one that is opened if there was none.
    Afterwards the file reads well from memory, although its content is lost on the disk. This call waits for pages that
    are being written, and flushes nothing.
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
    check_writable(fd)


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
    """Write `data` to the new file `path`: never replaces, never torn, durable on return. Raises OSError.

    Returns False when `path` exists already. The existing file stays, and is durable on return too.

    `temp` is a name on the same file system. It is removed only after `path` is durable, so a watcher of its removal
    (inotify) never learns of a result that a power cut could take back.

    The data is first written under a unique private name. `temp` may still be another link to the published file, left
    by a crash or used by another process in this function, and writing to it would change the result. The private name
    contains the process id, see `abandoned`.
    """
    private = private_name(temp)
    with _written(private, data, mode):
        ours = link(private, path)
        sync_folder(path.parent)
        private.replace(temp)
        temp.unlink(missing_ok=True)
    return ours


def private_name(temp: Path) -> Path:
    """Return a unique name for writing what becomes `temp`. It contains the process id, see `abandoned`."""
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
    """Return False for a private file that another living process is writing, True for any other file."""
    *_, pid, _ = ["", *path.name.rsplit(".", 2)]
    return not (path.name.startswith(".") and pid.isdigit() and int(pid) != os.getpid() and process_alive(int(pid)))


def replace(path: Path, data: bytes, *, mode: int = 0o640, shared: bool = False) -> None:
    """Write `data` to `path`, durable on return; a power cut leaves the old content or the new. Raises OSError.

    Only one writer at a time: the name of the temporary file is fixed, so that crashes leave at most one. With `shared`
    each process has a temporary name of its own, and a process that starts removes those that are `abandoned`.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp" if shared else f".{path.name}.tmp")
    with _written(temp, data, mode):
        temp.replace(path)
        sync_folder(path.parent)


def replace_volatile(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Write `data` to `path` on tmpfs: readers see the old content or the new. One writer at a time. Raises OSError."""
    temp = path.with_name(f".{path.name}.tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    temp.replace(path)
