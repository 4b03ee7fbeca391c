"""Decides if the wall clock can be trusted: a board without a battery-backed clock boots with a time in the past.

All of `edge` asks this module. `plausible` says if a time can be right at all. `synchronised` says if something keeps
the kernel's clock right. No other module of `edge` compares a time with a fixed date.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge.core.host import boot_id

#: 2025-01-01, before this program was written. A clock that shows an earlier time was not set since the boot.
EARLIEST = 1_735_689_600.0
EARLIEST_YEAR = 2025
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_CLOCKLESS = Path("/proc/device-tree/model")  # exists on boards; other computers have a clock with a battery
_RTC = Path("/sys/class/rtc/rtc0/since_epoch")
_DRIFT_S = 120.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_STEP_S = 0.05  # a smaller difference comes from reading the two clocks one after the other
_ABSOLUTE, _CANCEL_ON_SET = 1, 2  # timerfd_settime(2)
_NEVER_S = 1 << 33  # the year 2242, which every kernel accepts
_TIMEX_BYTES = 256  # struct timex is 208 bytes on 64 bit


def plausible(at: float) -> bool:
    """Return True if `at` (seconds since 1970) can come from a clock that was set."""
    return at >= EARLIEST


def synchronised() -> bool:
    """Return True if the kernel reports that something (NTP, PTP) keeps its clock right.

    A unit with ProtectClock= may not ask the kernel. Then the marker file of timesyncd decides.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # modes = 0: read only
    return _TIMESYNC.exists() if state == -1 else bool(state != _TIME_ERROR)


def left_s(for_s: float, *, wall: float, monotonic: float, boot: str) -> float:
    """Return the seconds that are left of a span; negative if it is over.

    In the boot in which the span began, the monotonic clock counts, because nothing can set it. After a later boot only
    the wall clock can count. If it shows a time before the beginning (a board without RTC), it is wrong, and the whole
    span counts from the start of this boot.

    Args:
        for_s: length of the span in seconds.
        wall: wall clock at the beginning, in seconds since 1970.
        monotonic: monotonic clock at the beginning, in seconds.
        boot: id of the boot in which the span began.
    """
    if boot == boot_id():
        return for_s - (time.monotonic() - monotonic)
    now = time.time()
    return for_s - (time.monotonic() if now < wall else now - wall)


def vouched_now() -> float | None:
    """Return the wall clock's time if it is synchronised, or None if no decision may depend on ages.

    Without this check a board with a clock that shows 2036 would remove every result as too old.
    """
    now = time.time()
    return now if plausible(now) and synchronised() else None


def trusted_now() -> float | None:
    """Return the wall clock's time if it may decide slots of a schedule, or None while the time is not known.

    A board without a battery-backed clock (a Raspberry Pi before the 5) boots with the time of its last shutdown. That
    time is plausible and wrong until a time server has set the clock. A computer with such a clock, a virtual machine
    and a container know the time without a time server.
    """
    now = time.time()
    if not plausible(now):
        return None
    return now if synchronised() or not _CLOCKLESS.exists() or _agrees(now) else None


def _agrees(now: float) -> bool:
    """Return True if the battery-backed clock shows this time: then it was set before and has kept running."""
    try:
        return abs(int(_RTC.read_text()) - now) < _DRIFT_S
    except (OSError, ValueError):
        return False


class SteadyClock:
    """Reads the wall clock once and continues with the monotonic clock, so that a clock step does not count as time.

    Not thread-safe: one thread calls all methods.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset_s = wall() - monotonic()

    def now(self) -> float:
        """Return seconds since 1970, as the wall clock showed at the last `follow`, plus the time since then."""
        return self._monotonic() + self._offset_s

    def follow(self) -> float:
        """Take over the present wall clock, and return the seconds by which it was set since the last call."""
        offset_s = self._wall() - self._monotonic()
        step_s = offset_s - self._offset_s
        if abs(step_s) < _STEP_S:
            return 0.0
        self._offset_s = offset_s
        return step_s


class ClockSet:
    """A descriptor that becomes readable when the wall clock is set, so that no loop has to poll the clock.

    It is a timer of the kernel that is never due. The kernel cancels it when the clock is set in a step
    (timerfd_create(2)). It belongs to the thread of the loop that waits for it.
    """

    def __init__(self) -> None:
        """Create the timer. Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._arm()

    def fileno(self) -> int:
        """Return the descriptor, or -1 after `close`."""
        return self._fd

    def rearm(self) -> None:
        """Make the descriptor unreadable until the next step of the clock. Call it before reading the clock."""
        with suppress(OSError):  # ECANCELED means that the clock was set
            os.read(self._fd, 8)
        self._arm()

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _arm(self) -> None:
        never = (ctypes.c_long * 4)(0, 0, _NEVER_S, 0)  # struct itimerspec
        failed = self._libc.timerfd_settime(self._fd, _ABSOLUTE | _CANCEL_ON_SET, never, None) < 0
        if failed and ctypes.get_errno() != errno.ECANCELED:  # ECANCELED: armed, but the clock was set just now
            raise OSError(ctypes.get_errno(), "timerfd_settime")
