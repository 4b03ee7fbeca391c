"""Durable files are complete or missing, and a published file never changes."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core import durable, mounts

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _sync_file_system_of(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        durable.sync_file_system(fd)
    finally:
        os.close(fd)


def _refusing(code: int) -> Callable[..., None]:
    def removexattr(file: int | Path, name: str) -> None:
        raise OSError(code, os.strerror(code), name)

    return removexattr


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """A folder for temporary names on the file system of `tmp_path`."""
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@relaxed
@given(data=st.binary(max_size=200_000))
def test_publish_gives_back_what_was_written(tmp_path: Path, staging: Path, data: bytes) -> None:
    """A published file has the written content, and no other name remains."""
    path = tmp_path / "result"
    path.unlink(missing_ok=True)
    assert durable.publish(path, data, temp=staging / "result")
    assert path.read_bytes() == data
    assert list(staging.iterdir()) == []


@relaxed
@given(first=st.binary(max_size=100), second=st.binary(max_size=100))
def test_publish_never_replaces(tmp_path: Path, staging: Path, first: bytes, second: bytes) -> None:
    """The first publish stands. A second one with other content returns False."""
    path = tmp_path / "result"
    path.unlink(missing_ok=True)
    assert durable.publish(path, first, temp=staging / "result")
    assert not durable.publish(path, second, temp=staging / "result")
    assert path.read_bytes() == first
    assert list(staging.iterdir()) == []


def test_publish_does_not_write_through_a_temporary_name_that_is_the_result(tmp_path: Path, staging: Path) -> None:
    """After a crash between link and unlink the temporary name is the result. A second publish does not change it."""
    path, temp = tmp_path / "result", staging / "result"
    temp.write_bytes(b"the result")
    os.link(temp, path)
    assert not durable.publish(path, b"another", temp=temp)
    assert path.read_bytes() == b"the result"
    assert not temp.exists()


def test_publishes_at_once_agree_on_one_result(tmp_path: Path, staging: Path) -> None:
    """Of many publishes of one name exactly one returns True, and the file has its whole content."""
    path, temp = tmp_path / "result", staging / "result"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    ours: list[bytes] = []
    ready = threading.Barrier(len(contents))

    def publish(data: bytes) -> None:
        ready.wait(10)
        if durable.publish(path, data, temp=temp):
            ours.append(data)

    threads = [threading.Thread(target=publish, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ours) == 1
    assert path.read_bytes() == ours[0]
    assert list(staging.iterdir()) == []


def test_the_temporary_name_goes_after_the_folder_is_durable(
    tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that watches for the removal of the temporary name sees durable results only."""
    path, temp = tmp_path / "result", staging / "result"
    seen: list[tuple[bool, bool]] = []
    sync = durable.sync_folder

    def watched(folder: Path) -> None:
        seen.append((path.exists(), temp.exists()))
        sync(folder)

    temp.write_bytes(b"left over by a crash")
    monkeypatch.setattr(durable, "sync_folder", watched)
    assert durable.publish(path, b"data", temp=temp)
    assert seen == [(True, True)]
    assert not temp.exists()


@pytest.mark.parametrize("failing", ["write", "fsync", "link"])
def test_publish_that_fails_leaves_nothing(
    tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """On a full or broken disk it raises, and leaves neither the result nor temporary files."""

    def broken(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, broken)
    with pytest.raises(OSError, match="No space"):
        durable.publish(tmp_path / "result", b"data", temp=staging / "result")
    assert not (tmp_path / "result").exists()
    assert list(staging.iterdir()) == []


def test_publish_writes_all_of_a_short_write(tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may write fewer bytes than it was given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    durable.publish(tmp_path / "result", b"0123456789" * 10, temp=staging / "result")
    assert (tmp_path / "result").read_bytes() == b"0123456789" * 10


@pytest.mark.parametrize("put", [durable.replace, durable.replace_volatile])
def test_replace_puts_new_in_place_of_old(tmp_path: Path, put: Callable[[Path, bytes], None]) -> None:
    """After a replace only the file with the new content exists."""
    path = tmp_path / "status.json"
    for data in (b"old" * 100, b"new"):
        put(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_replace_that_fails_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the content on the disk is unknown, so the old file stays."""
    path = tmp_path / "status.json"
    durable.replace(path, b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        durable.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_make_folder_makes_parents_and_may_be_called_again(tmp_path: Path) -> None:
    """A deep folder is made once, and a second call changes nothing."""
    folder = tmp_path / "a" / "b" / "c"
    durable.make_folder(folder)
    inode = folder.stat().st_ino
    durable.make_folder(folder)
    assert folder.stat().st_ino == inode


def test_make_folder_over_a_file_is_an_error_where_it_is_used(tmp_path: Path) -> None:
    """A file in the place of the folder is not removed."""
    (tmp_path / "a").write_bytes(b"kept")
    durable.make_folder(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("free", "inodes", "flags", "room"),
    [(1 << 30, 9, 0, True), (1 << 20, 9, 0, False), (1 << 30, 0, 0, False), (1 << 30, 9, os.ST_RDONLY, False)],
)
def test_room_is_bytes_inodes_and_a_disk_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, free: int, inodes: int, flags: int, room: bool
) -> None:
    """Each of the three may be missing, and then the disk takes no file."""
    blocks = free >> 12
    found = os.statvfs_result((4096, 4096, blocks, blocks, blocks, 99, inodes, inodes, flags, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    assert durable.has_free_space(tmp_path, 32 << 20) is room


def test_a_file_system_that_cannot_be_synced_is_an_error(tmp_path: Path) -> None:
    """If syncfs(2) returns -1, written data may be lost."""
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        durable.sync_file_system(fd)


@pytest.mark.parametrize("sync", [durable.sync_folder, durable.sync_file, _sync_file_system_of])
def test_a_sync_on_a_file_system_that_has_stopped_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Callable[[Path], None]
) -> None:
    """The kernel's fsync may return 0 at the moment at which ext4 gives up its journal."""
    monkeypatch.setattr(os, "removexattr", _refusing(errno.EROFS))
    with pytest.raises(OSError, match="Read-only"):
        sync(tmp_path)


@pytest.mark.parametrize(
    ("options", "stopped"), [("rw", False), ("ro", True), ("rw,emergency_ro", True), ("rw,shutdown", True)]
)
def test_a_folder_that_only_its_mount_makes_read_only_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, stopped: bool
) -> None:
    """systemd mounts the state read-only for a unit, except for the folders that the unit writes."""
    device = tmp_path.stat().st_dev
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "22 1 0:999 / /proc rw - proc proc ro\n"
        f"30 22 {os.major(device)}:{os.minor(device)} / /var/lib/edge ro,noatime shared:1 - ext4 /dev/x {options}\n"
    )
    monkeypatch.setattr(mounts, "_MOUNTINFO", mountinfo)
    monkeypatch.setattr(os, "removexattr", _refusing(errno.EROFS))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    if stopped:
        with pytest.raises(OSError, match="Read-only"):
            durable.sync_folder(tmp_path)
    else:
        durable.sync_folder(tmp_path)


@pytest.mark.parametrize("code", [errno.ENODATA, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM])
def test_a_file_system_that_says_nothing_of_attributes_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Such an error means that there are no attributes, or that this process may not change them."""
    monkeypatch.setattr(os, "removexattr", _refusing(code))
    durable.sync_folder(tmp_path)


def test_a_file_whose_pages_reached_the_disk_is_well(tmp_path: Path) -> None:
    """The real system call accepts a written file, and a file that was only read."""
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        durable.check_written(file.fileno())
    with path.open("rb") as file:
        durable.check_written(file.fileno())


def failing_ranges(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make sync_file_range(2) fail with the error `number`."""

    def fails(_fd: int) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(durable, "_sync_file_range", fails)


def test_a_write_that_failed_in_the_background_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content of such a file can still be read from memory."""
    failing_ranges(monkeypatch, errno.EIO)
    with (tmp_path / "a").open("wb") as file, pytest.raises(OSError, match="Input/output error"):
        durable.check_written(file.fileno())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_nobody_knows_ranges_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """On a file system without sync_file_range(2) a job gets its result too."""
    failing_ranges(monkeypatch, number)
    with (tmp_path / "a").open("wb") as file:
        durable.check_written(file.fileno())


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full card a partial file would keep the card full."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(tmp_path / "a", b"data")
    assert list(tmp_path.iterdir()) == []
