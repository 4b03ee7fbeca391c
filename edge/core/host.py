"""Facts about the machine that more than one part needs."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


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


def clock_synchronised() -> bool:
    """True when the kernel says that something (NTP, PTP) keeps its clock true.

    A unit with ProtectClock= may not even ask the kernel; timesyncd's mark is the answer then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)  # struct timex with modes = 0: read only; 208 bytes on 64 bit
    state = libc.adjtimex(buffer)
    return _TIMESYNC.exists() if state == -1 else bool(state != _TIME_ERROR)
