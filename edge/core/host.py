"""Reads facts about the machine: the id of the boot, the state of a process, and limits of the kernel."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """Return the kernel's random id of this boot. Two equal ids mean that there was no power cut in between."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # a container hides it, so boots cannot be distinguished
        return "unknown"


def process_alive(pid: int) -> bool:
    """Return True if a process with this id exists.

    The process may belong to another user. Its entry in /proc may be hidden from this unit, so /proc is not read.
    """
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
    """Return True if a signal (SIGSTOP) has stopped the process, and False also if its entry in /proc is hidden."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[:1] == [b"T"]


def memory_limits_hold(groups: Path = Path("/sys/fs/cgroup"), controllers: Path = Path("/proc/cgroups")) -> bool | None:
    """Return whether the kernel can enforce the memory limits of a unit, or None if that cannot be found out.

    Raspberry Pi's firmware starts some kernels with `cgroup_disable=memory`.
    """
    try:
        return "memory" in (groups / "cgroup.controllers").read_text().split()
    except OSError:
        pass  # control groups of version 1 or of both versions list their controllers in another file
    try:
        lines = controllers.read_text().splitlines()
    except OSError:
        return None
    return any(words[:1] == ["memory"] and words[3:4] == ["1"] for words in map(str.split, lines))
