"""Whether the wall clock can be right: a board without an RTC wakes in the past."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

from edge.power.reading import Reading, Verdict, known, unknown

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); with modes 0 it only reads."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),  # more than any architecture needs
    ]


def synchronised() -> bool:
    """True when the kernel says that something disciplines the clock. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    state = libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC


class Clock:
    """Reads `clock` (seconds since 1970): low before `earliest_year`, or unsynchronised where that is required."""

    def __init__(
        self,
        name: str = "clock",
        *,
        earliest_year: int = 2025,
        require_sync: bool = False,
        wall: Callable[[], float] = time.time,
        sync: Callable[[], bool] = synchronised,
    ) -> None:
        self.name, self.earliest_year, self.require_sync = name, earliest_year, require_sync
        self._wall, self._sync = wall, sync

    def read(self, now: float) -> tuple[Reading, ...]:  # noqa: ARG002 - it is the other clock that is asked
        """What the wall clock says, and whether to believe it."""
        seconds = self._wall()
        try:
            year = time.gmtime(seconds).tm_year
        except (OverflowError, OSError, ValueError):
            return (unknown(self.name, "clock", f"absurd ({seconds})", "s"),)
        if year < self.earliest_year:
            reason = f"the clock says {year}, before {self.earliest_year}: it was not set since the boot"
            return (known(self.name, "clock", seconds, "s", verdict=Verdict.LOW, reason=reason),)
        try:
            synced = self._sync()
        except OSError as err:
            if self.require_sync:
                return (unknown(self.name, "clock", f"adjtimex: {err.strerror or err}", "s"),)
            synced = True
        if synced:
            return (known(self.name, "clock", seconds, "s"),)
        verdict = Verdict.LOW if self.require_sync else Verdict.OK
        return (known(self.name, "clock", seconds, "s", verdict=verdict, reason="not synchronised"),)

    def close(self) -> None:
        """Nothing is held open."""
