"""Whether the wall clock can be trusted: a board without a battery-backed clock boots in the past.

These questions are answered here and nowhere else. `plausible`: can a time be right at all? `synchronised`: does
something keep the kernel's clock true? Nothing else in `edge` compares a time with a fixed date.
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

#: 2025-01-01, before this program was written: a clock that shows an earlier time was not set since the boot.
EARLIEST = 1_735_689_600.0
EARLIEST_YEAR = 2025
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_CLOCKLESS = Path("/proc/device-tree/model")  # a board; other computers have a clock with a battery
_RTC = Path("/sys/class/rtc/rtc0/since_epoch")
_DRIFT_S = 120.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_STEP_S = 0.05  # clocks that are read one after the other differ by less
_ABSOLUTE, _CANCEL_ON_SET = 1, 2  # timerfd_settime(2)
_NEVER_S = 1 << 33  # the year 2242, still a time to every kernel
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


def trusted_now() -> float | None:
    """Return the wall clock's time if slots of a schedule may be decided by it; None while the board does not know it.

    A board without a clock of its own (a Raspberry Pi before the 5) boots with the time of its last shutdown. That is
    plausible and wrong: a time server has to set it first. A computer with a clock, a virtual machine and a container
    have the time without one.
    """
    now = time.time()
    if not plausible(now):
        return None
    return now if synchronised() or not _CLOCKLESS.exists() or _agrees(now) else None


def _agrees(now: float) -> bool:
    """True when the clock that runs through power cuts shows this time: it was set once, and has a battery."""
    try:
        return abs(int(_RTC.read_text()) - now) < _DRIFT_S
    except (OSError, ValueError):
        return False


class SteadyClock:
    """The wall clock as it was at one moment, carried on by the monotonic clock, so that a step does not count as time.

    Not thread-safe: one thread calls all methods.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset_s = wall() - monotonic()

    def now(self) -> float:
        """Seconds since 1970, as far as the wall clock was right at the last `follow`."""
        return self._monotonic() + self._offset_s

    def follow(self) -> float:
        """Show what the wall clock shows again, and return the seconds by which it was set since the last call."""
        offset_s = self._wall() - self._monotonic()
        step_s = offset_s - self._offset_s
        if abs(step_s) < _STEP_S:
            return 0.0
        self._offset_s = offset_s
        return step_s


class ClockSet:
    """A descriptor that becomes readable when somebody sets the wall clock, so that nobody has to look at it.

    It is a timer of the kernel that is never due, and that the kernel cancels when the clock is set in a step
    (timerfd_create(2)).
    """

    def __init__(self) -> None:
        """Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._arm()

    def fileno(self) -> int:
        """The descriptor; -1 after `close`."""
        return self._fd

    def hush(self) -> None:
        """Wait for the next step; call it before looking at the clock."""
        with suppress(OSError):  # ECANCELED says that the clock was set
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
        if failed and ctypes.get_errno() != errno.ECANCELED:  # set at this moment, but armed
            raise OSError(ctypes.get_errno(), "timerfd_settime")
