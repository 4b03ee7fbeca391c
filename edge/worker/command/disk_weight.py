"""Finds out whether the kernel shares the disk of a folder by the weights of cgroups.

The file for the weight alone does not tell it: it exists as soon as any disk may have weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What the owner must do for a disk without weights.
CURE = "choose bfq in /sys/block/DISK/queue/scheduler"


def why_no_weight(
    folder: Path,
    *,
    sys: Path = Path("/sys"),
    mounts: Path = Path("/proc/self/mountinfo"),
) -> str:
    """Return why the disk of `folder` has no weights, or an empty text if it has. Tests pass other `sys` and `mounts`.

    The scheduler bfq has weights. So has the controller io.cost of cgroup 2, if root has enabled it for the disk.
    """
    disks = list(_disks(sys, _device(folder, mounts)))
    if not disks:
        return f"the disk of {folder} is not known"
    costed = _costed(sys)
    for disk in disks:
        if (disk / "dev").read_text().strip() in costed:
            continue
        scheduler = _scheduler(disk)
        if scheduler != "bfq":
            has = f"has the scheduler {scheduler}" if scheduler else "has no scheduler"
            return f"the disk {disk.name} {has}, so it gives no shares by weight"
    return ""


def _device(folder: Path, mounts: Path) -> str:
    """Return the number of the block device of a folder, such as 8:1, or an empty text."""
    while not folder.exists():
        folder = folder.parent
    found = folder.stat().st_dev
    if os.major(found):
        return f"{os.major(found)}:{os.minor(found)}"
    # btrfs and others have several volumes on a device, each with a number of its own.
    with suppress(OSError):
        for line in mounts.read_text().splitlines():
            fields, _, source = line.partition(" - ")
            if fields.split()[2] == f"0:{os.minor(found)}" and source.split()[1].startswith("/dev/"):
                device = Path(source.split()[1]).stat().st_rdev
                return f"{os.major(device)}:{os.minor(device)}"
    return ""


def _disks(sys: Path, device: str) -> Iterator[Path]:
    """Yield the folders of the disks below a device: below a partition, an encrypted or a joined one."""
    path = sys / "dev/block" / device
    if not device or not path.exists():
        return
    path = path.resolve()
    if (path / "partition").exists():
        path = path.parent
    lower = sorted((path / "slaves").glob("*"))
    if not lower:
        yield path
    for each in lower:
        yield from _disks(sys, (each / "dev").read_text().strip())


def _costed(sys: Path) -> set[str]:
    """Return the numbers of the disks for which io.cost is enabled."""
    with suppress(OSError):
        lines = (sys / "fs/cgroup/io.cost.qos").read_text().splitlines()
        return {line.split()[0] for line in lines if "enable=1" in line.split()}
    return set()


def _scheduler(disk: Path) -> str:
    """Return the name of the disk's scheduler, or an empty text."""
    with suppress(OSError):
        words = (disk / "queue/scheduler").read_text().split()
        return next((word.strip("[]") for word in words if word.startswith("[")), "")
    return ""
