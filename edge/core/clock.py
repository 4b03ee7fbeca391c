"""Whether the wall clock can be trusted: a board without a battery-backed clock boots in the past.

Two questions are answered here and nowhere else. `plausible`: can a time be right at all? `synchronised`: does
something keep the kernel's clock true? Nothing else in `edge` compares a time with a fixed date.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from edge.core.host import boot_id

#: 2025-01-01, before this program was written: a clock that shows an earlier time was not set since the boot.
EARLIEST = 1_735_689_600.0
EARLIEST_YEAR = 2025
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 256  # struct timex is 208 bytes on 64 bit


def plausible(at: float) -> bool:
    """True when `at` (seconds since 1970) can have been taken from a clock that was set."""
    return at >= EARLIEST


def synchronised() -> bool:
    """True when the kernel says that something (NTP, PTP) keeps its clock true.

    A unit with ProtectClock= may not even ask the kernel; timesyncd's mark is the answer then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # modes = 0: read only
    return _TIMESYNC.exists() if state == -1 else bool(state != _TIME_ERROR)


def left_s(for_s: float, *, wall: float, monotonic: float, boot: str) -> float:
    """Seconds that are left of `for_s`, which began at these times of both clocks in the boot `boot`.

    Within its boot by the monotonic clock, which nothing can set. In a later boot only the wall clock is left. One that
    stands before the beginning (a board without RTC) tells nothing: the whole time counts from that boot on.
    """
    if boot == boot_id():
        return for_s - (time.monotonic() - monotonic)
    now = time.time()
    return for_s - (time.monotonic() if now < wall else now - wall)


def vouched_now() -> float | None:
    """Return the wall clock's time if it is synchronised; None when no decision may depend on ages.

    Otherwise a board whose clock shows 2036 would remove every result for its age.
    """
    now = time.time()
    return now if plausible(now) and synchronised() else None
