"""The file system of a path, and if a power cut loses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.core import mounts
from edge.core.mounts import file_system, volatile

CARD = "/dev/mmcblk0p2 / ext4 rw 0 0\n"
#: As raspi-config and the package overlayroot mount it: the card below, and the changes on a tmpfs that can be seen.
OVERLAYROOT = (
    "/dev/mmcblk0p2 /media/root-ro ext4 ro 0 0\n"
    "tmpfs-root /media/root-rw tmpfs rw,relatime 0 0\n"
    "overlayroot / overlay rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/w 0 0\n"
)
#: As Raspberry Pi OS 11 does: the tmpfs stays behind in the initramfs.
HIDDEN = "overlay / overlay rw,noatime,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work 0 0\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "mounts"


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, table: Path) -> None:
    """A folder whose name only begins alike does not count."""
    base = tmp_path.resolve()
    table.write_text(f"a / ext4 rw 0 0\nb {base}/data f2fs rw 0 0\nc {base}/with\\040space vfat rw 0 0\n")
    assert file_system(tmp_path / "data" / "x", table) == "f2fs"
    assert file_system(tmp_path / "database", table) == "ext4"
    assert file_system(tmp_path / "with space", table) == "vfat"
    assert file_system(tmp_path, tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("lines", "command_line", "lost"),
    [
        (CARD, "", False),
        (f"{CARD}tmpfs /var/lib tmpfs rw 0 0\n", "", True),
        (f"{CARD}/dev/zram1 /var/lib ext4 rw 0 0\n", "", True),
        (OVERLAYROOT, "", True),
        (OVERLAYROOT.replace("tmpfs-root /media/root-rw tmpfs", "/dev/sda1 /media/root-rw ext4"), "", False),
        (OVERLAYROOT.replace("tmpfs-root /media/root-rw tmpfs", "/dev/zram0 /media/root-rw ext4"), "", True),
        (f"{OVERLAYROOT}/dev/sda1 /var/lib ext4 rw 0 0\n", "", False),
        (HIDDEN, "boot=overlay root=PARTUUID=1 rootwait", True),
        (HIDDEN, "root=PARTUUID=1 overlayroot=tmpfs:recurse=0", True),
        (HIDDEN, "root=PARTUUID=1", False),
        (HIDDEN.replace("/upper/", "/root/.cache/upper/"), "overlayroot=device:dev=/dev/sda1", False),
        ("overlay / overlay ro,relatime,lowerdir=/a:/b 0 0\n", "boot=overlay", False),
    ],
)
def test_what_a_power_cut_takes_is_told(
    lines: str, command_line: str, lost: bool, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is recognised in every form: tmpfs, zram, and an overlay with its changes on either."""
    table.write_text(lines)
    (tmp_path / "cmdline").write_text(command_line)
    monkeypatch.setattr(mounts, "_figures", lambda _: None)
    assert bool(volatile(Path("/var/lib/edge"), table, tmp_path / "cmdline")) is lost


def test_an_overlay_with_the_figures_of_a_tmpfs_is_on_it(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts of users set up an overlay without an option on the kernel's command line."""
    table.write_text(f"{HIDDEN}tmpfs /rw tmpfs rw 0 0\n")
    monkeypatch.setattr(mounts, "_figures", lambda _: (4096, 1000, 1000))
    assert volatile(Path("/var/lib"), table, tmp_path / "none")
    monkeypatch.setattr(mounts, "_figures", lambda point: (4096, len(point), 1000))
    assert not volatile(Path("/var/lib"), table, tmp_path / "none")


def test_the_playbook_can_run_it_on_a_bare_board(tmp_path: Path) -> None:
    """It runs with the standard library, from standard input. A path that does not exist counts as its parent."""
    argv = [sys.executable, "-I", "-", "/proc/self/none", "/dev/shm/none"]
    with Path(mounts.__file__).open() as program:
        done = subprocess.run(argv, stdin=program, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == (1 if "tmpfs" in done.stdout else 0)
