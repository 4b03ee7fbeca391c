"""Facts about the machine that more than one part needs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """The kernel's random id of this boot; the same id means no power cut in between."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # a container that hides it: no boot can be told from another
        return "unknown"


def process_alive(pid: int) -> bool:
    """True while a process with this id exists; it may belong to another user, whose /proc entry a unit may hide."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def process_stopped(pid: int) -> bool:
    """True when a signal (SIGSTOP) has stopped the process; False too where its /proc entry is hidden."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[:1] == [b"T"]


def memory_limits_hold(groups: Path = Path("/sys/fs/cgroup"), controllers: Path = Path("/proc/cgroups")) -> bool | None:
    """Whether the kernel can hold a unit's memory limits; None where that cannot be told.

    Raspberry Pi's firmware starts some kernels with `cgroup_disable=memory`.
    """
    try:
        return "memory" in (groups / "cgroup.controllers").read_text().split()
    except OSError:
        pass  # control groups of version 1, or of both, which list them elsewhere
    try:
        lines = controllers.read_text().splitlines()
    except OSError:
        return None
    return any(words[:1] == ["memory"] and words[3:4] == ["1"] for words in map(str.split, lines))
