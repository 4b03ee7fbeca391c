"""Facts about the machine that more than one part needs."""

from __future__ import annotations

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
    """True while a process with this id exists (it may belong to someone else)."""
    return pid > 0 and Path(f"/proc/{pid}").exists()
