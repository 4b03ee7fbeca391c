"""Whether the wall clock can be right: a board without an RTC wakes in the past."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.core.clock import EARLIEST_YEAR, synchronised
from edge.power.sources.reading import Reading, Verdict, known, unknown


class Clock:
    """Reads `clock` (seconds since 1970): low before `earliest_year`, or unsynchronised where that is required."""

    def __init__(
        self,
        name: str = "clock",
        *,
        earliest_year: int = EARLIEST_YEAR,
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
