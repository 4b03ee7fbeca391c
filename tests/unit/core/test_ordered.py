"""File systems that keep the order of changes, and how content is passed to the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.core import ordered

DEVICE = os.makedev(7, 3)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """The folders in which the kernel describes devices and ext4. The device is `loop3`."""
    (tmp_path / "virtual" / "loop3").mkdir(parents=True)
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "7:3").symlink_to("../virtual/loop3")
    (tmp_path / "ext4" / "loop3").mkdir(parents=True)
    return tmp_path


def keeps_order(kernel: Path, options: str | None, device: int = DEVICE) -> bool:
    if options is not None:
        (kernel / "ext4" / "loop3" / "options").write_text(options)
    return ordered.keeps_order(device, devices=kernel / "devices", ext4=kernel / "ext4")


def test_ext4_with_an_ordered_journal_keeps_the_order(kernel: Path) -> None:
    """The options are read in the kernel's format, one in each line."""
    assert keeps_order(kernel, "rw\ndelalloc\nbarrier\ndata=ordered\ncommit=5\n")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("rw\ndelalloc\nbarrier\n", id="no journal"),
        pytest.param("rw\nbarrier\ndata=writeback\n", id="data is not ordered"),
        pytest.param("rw\nbarrier\ndata=journal\n", id="data is in the journal"),
        pytest.param("rw\nnobarrier\ndata=ordered\n", id="a commit does not flush the disk"),
        pytest.param("", id="nothing told"),
        pytest.param(None, id="not ext4"),
    ],
)
def test_anything_else_does_not(kernel: Path, options: str | None) -> None:
    """On other file systems content is synced before its name, as POSIX requires."""
    assert not keeps_order(kernel, options)


def test_a_file_system_without_a_device_does_not(kernel: Path) -> None:
    """Overlay, btrfs and tmpfs do not count as keeping the order."""
    assert not keeps_order(kernel, "barrier\ndata=ordered\n", os.makedev(0, 44))


def test_content_is_handed_over_and_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writing of all files starts before the first wait."""
    calls: list[tuple[str, int]] = []

    def sync_file_range(fd: int, flags: int) -> int:
        calls.append((Path(f"/proc/self/fd/{fd}").readlink().name, flags))
        return 0

    monkeypatch.setattr(ordered, "_sync_file_range", sync_file_range)
    for name in "ab":
        (tmp_path / name).write_bytes(b"content")
    ordered.write_out(tmp_path / name for name in "ab")
    assert calls == [("a", 2), ("b", 2), ("a", 7), ("b", 7)]


def test_a_file_that_cannot_be_written_out_is_named(tmp_path: Path) -> None:
    """The error names the file, here a pipe, which does not support the call."""
    os.mkfifo(tmp_path / "pipe")
    holder = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(OSError, match="pipe"):
            ordered.write_out([tmp_path / "pipe"])
    finally:
        os.close(holder)
