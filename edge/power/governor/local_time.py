"""Computes the local minute of the day, now or at a later time, in the time zone that the board has now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_ZONE = Path("/etc/localtime")


class LocalTime:
    """Local time that follows a change of `/etc/localtime`.

    A process keeps the time zone of its start until it calls `tzset`. The governor runs for months. Meanwhile the owner
    may set the zone of a new board, or move the board to another zone. Belongs to the governor's thread.
    """

    def __init__(self, zone: Path = _ZONE, *, tzset: Callable[[], None] = time.tzset) -> None:
        self._zone, self._tzset = zone, tzset
        self._seen = self._stat()

    def follow(self) -> None:
        """Take over the current time zone. The governor calls it before each sample; it costs one `stat`."""
        found = self._stat()
        if found != self._seen:
            self._seen = found
            self._tzset()

    @staticmethod
    def minute(wall: float) -> float:
        """Return the minutes since local midnight at `wall` (seconds since 1970), with fractions of a minute."""
        local = time.localtime(wall)
        return local.tm_hour * 60 + local.tm_min + (local.tm_sec + wall % 1) / 60

    def _stat(self) -> tuple[int, int, int] | None:
        """Return the identity of the zone's file (links are followed), or None if it is missing, which means UTC."""
        try:
            found = os.stat(self._zone)  # noqa: PTH116 - at each sample; Path.stat costs twice as much
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns
