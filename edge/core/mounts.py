"""Finds the file system of a path, and says if a power cut loses its content.

The module is also a program, and needs only the standard library: the playbook runs it on a board before anything is
installed. It prints a line for each file system whose content a power cut loses, and exits with 1 if there is one.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_MOUNTINFO = Path("/proc/self/mountinfo")
_COMMAND_LINE = Path("/proc/cmdline")
_VOLATILE = {"tmpfs", "ramfs"}
_MEMORY_DEVICE = re.compile(r"/dev/(zram|ram)\d+")
#: Kernel options for an overlay in memory: of raspi-config until Debian 11, and of the package overlayroot since.
_OVERLAY_IN_MEMORY = re.compile(r"(^|\s)(boot=overlay|overlayroot=tmpfs)\b")


#: Options of a file system that takes no writes; `emergency_ro` and `shutdown` are ext4's since Linux 6.15.
_TAKES_NONE = frozenset({"ro", "emergency_ro", "shutdown"})


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mounts."""

    device: str
    point: str
    kind: str
    options: str

    @property
    def upper(self) -> str:
        """The folder that stores the changes of an overlay; an empty string for other mounts."""
        found = re.search(r"(?:^|,)upperdir=((?:[^,\\]|\\.)+)", self.options)
        return found[1] if found and self.kind == "overlay" else ""


def mounted(mounts: Path = _MOUNTS) -> list[Mount]:
    """Return all mounts, the latest last, or an empty list if they cannot be read."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [Mount(*map(_unescaped, f"{line} ? ? ?".split(" ")[:4])) for line in lines]


def nearest(place: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that holds the absolute path `place`, or None if no mount does."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/") + "/"
        if f"{place}/".startswith(point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def only_mount_is_read_only(file: int | Path) -> bool:
    """Return True if `file`, a path or a descriptor, is on a read-only mount of a file system that takes writes.

    systemd mounts the state folder in this way for a unit, except for the folders that the unit writes.
    """
    if not os.statvfs(file).f_flag & os.ST_RDONLY:
        return False
    device = (os.fstat(file) if isinstance(file, int) else file.stat()).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = [line.split() for line in _MOUNTINFO.read_text(errors="replace").splitlines()]
    except OSError:
        return True
    # The third field is the device, the last one the options of the file system: see proc_pid_mountinfo(5).
    return not any(fields[2] == number and not _TAKES_NONE.isdisjoint(fields[-1].split(",")) for fields in lines)


def file_system(place: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of the file system that holds `place`, or an empty string if that cannot be found out."""
    found = nearest(str(place.resolve()), mounted(mounts))
    return found.kind if found else ""


def volatile(place: Path, mounts: Path = _MOUNTS, command_line: Path = _COMMAND_LINE) -> str:
    """Return why a power cut loses files below `place`, or an empty string if no reason is known."""
    there = mounted(mounts)
    found = nearest(str(place.resolve()), there)
    if found is None:
        return ""
    if found.kind in _VOLATILE or _MEMORY_DEVICE.fullmatch(found.device):
        return f"{found.point} is in memory ({found.kind})"
    if found.upper and _upper_in_memory(found, there, command_line):
        return f"{found.point} is an overlay whose changes are kept in memory"
    return ""


def _upper_in_memory(overlay: Mount, mounts: list[Mount], command_line: Path) -> bool:
    """Return True if the changes of an overlay are kept in memory.

    The path in its mount options was valid in the initramfs and may not exist any more.
    """
    under = nearest(overlay.upper, mounts)
    if under is not None and under.point not in ("/", overlay.point):
        return under.kind in _VOLATILE or bool(_MEMORY_DEVICE.fullmatch(under.device))
    try:
        if overlay.point == "/" and _OVERLAY_IN_MEMORY.search(command_line.read_text(errors="replace")):
            return True
    except OSError:
        pass
    # An overlay reports the size and the inodes of its upper file system. So a tmpfs with equal figures is that one.
    figures = _figures(overlay.point)
    return figures is not None and any(
        mount.kind in _VOLATILE and _figures(mount.point) == figures for mount in mounts if mount.point != overlay.point
    )


def _figures(point: str) -> tuple[int, ...] | None:
    """Return the size of a file system in blocks and inodes, or None if it has no blocks or gives no figures."""
    try:
        found = os.statvfs(point)
    except OSError:
        return None
    return (found.f_bsize, found.f_blocks, found.f_files) if found.f_blocks else None


def _unescaped(word: str) -> str:
    """Return a word of /proc/self/mounts without the kernel's escapes of blanks."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word)


def main(places: list[str]) -> int:
    """Print which of `places` a power cut loses, and return the exit code.

    For a path that does not exist, its nearest existing parent is checked.
    """
    reasons = []
    for place in map(Path, places):
        there = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
        reasons.append(volatile(there))
    found = list(dict.fromkeys(filter(None, reasons)))
    sys.stdout.write("".join(f"{reason}\n" for reason in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
