"""Which file system a path lies on, and whether a power cut takes it.

Runs as a program, too, with the standard library alone: the playbook asks a board on which nothing is installed yet.
It prints a line for each path that a power cut takes, and exits with 1 then.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_COMMAND_LINE = Path("/proc/cmdline")
_VOLATILE = {"tmpfs", "ramfs"}
_MEMORY_DEVICE = re.compile(r"/dev/(zram|ram)\d+")
#: Of raspi-config until Debian 11, and of the package overlayroot since.
_OVERLAY_IN_MEMORY = re.compile(r"(^|\s)(boot=overlay|overlayroot=tmpfs)\b")


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mounts."""

    device: str
    point: str
    kind: str
    options: str

    @property
    def upper(self) -> str:
        """The folder that takes what is written to an overlay; empty for others."""
        found = re.search(r"(?:^|,)upperdir=((?:[^,\\]|\\.)+)", self.options)
        return found[1] if found and self.kind == "overlay" else ""


def mounted(mounts: Path = _MOUNTS) -> list[Mount]:
    """All mounts, the latest last; none where that cannot be told."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [Mount(*map(_unescaped, f"{line} ? ? ?".split(" ")[:4])) for line in lines]


def nearest(place: str, mounts: list[Mount]) -> Mount | None:
    """The mount that the absolute path `place` lies on."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/") + "/"
        if f"{place}/".startswith(point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def file_system(place: Path, mounts: Path = _MOUNTS) -> str:
    """Kind of the file system `place` lies on; empty where that cannot be told."""
    found = nearest(str(place.resolve()), mounted(mounts))
    return found.kind if found else ""


def volatile(place: Path, mounts: Path = _MOUNTS, command_line: Path = _COMMAND_LINE) -> str:
    """Why a power cut takes what is written below `place`; empty where it does not, as far as can be told."""
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
    """Whether an overlay's changes are on tmpfs. Its path is that of the initramfs and may not be there any more."""
    under = nearest(overlay.upper, mounts)
    if under is not None and under.point not in ("/", overlay.point):
        return under.kind in _VOLATILE or bool(_MEMORY_DEVICE.fullmatch(under.device))
    try:
        if overlay.point == "/" and _OVERLAY_IN_MEMORY.search(command_line.read_text(errors="replace")):
            return True
    except OSError:
        pass
    # An overlay has the room and the inodes of its upper file system: the same figures are those of the same tmpfs.
    figures = _figures(overlay.point)
    return figures is not None and any(
        mount.kind in _VOLATILE and _figures(mount.point) == figures for mount in mounts if mount.point != overlay.point
    )


def _figures(point: str) -> tuple[int, ...] | None:
    """Size of a file system in blocks and inodes; None where it has none, or cannot be asked."""
    try:
        found = os.statvfs(point)
    except OSError:
        return None
    return (found.f_bsize, found.f_blocks, found.f_files) if found.f_blocks else None


def _unescaped(word: str) -> str:
    """A word as it was before the kernel escaped its blanks."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word)


def main(places: list[str]) -> int:
    """Say which of `places`, or of their nearest parents that are there, a power cut takes."""
    reasons = []
    for place in map(Path, places):
        there = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
        reasons.append(volatile(there))
    found = list(dict.fromkeys(filter(None, reasons)))
    sys.stdout.write("".join(f"{reason}\n" for reason in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
