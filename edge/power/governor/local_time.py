"""The clock on the wall: the local minute of the day, now and in time to come, in the zone that holds now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_ZONE = Path("/etc/localtime")


class LocalTime:
    """Local time that follows a change of `/etc/localtime`.

    A process keeps the zone of its start until it calls `tzset`. The governor lives for months: somebody who sets the
    zone of a new board, or a board that travels, changes it meanwhile.
    """

    def __init__(self, zone: Path = _ZONE, *, tzset: Callable[[], None] = time.tzset) -> None:
        self._zone, self._tzset = zone, tzset
        self._seen = self._stat()

    def follow(self) -> None:
        """Take over the zone of now; called before each sample, it costs one `stat`."""
        found = self._stat()
        if found != self._seen:
            self._seen = found
            self._tzset()

    @staticmethod
    def minute(wall: float) -> float:
        """Minutes of the local day at `wall`, with the part of the minute that has passed."""
        local = time.localtime(wall)
        return local.tm_hour * 60 + local.tm_min + (local.tm_sec + wall % 1) / 60

    def _stat(self) -> tuple[int, int, int] | None:
        """What tells one file of a zone from another; a link is followed. None: there is none, which is UTC."""
        try:
            found = os.stat(self._zone)  # noqa: PTH116 - at each sample; Path.stat costs twice as much
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns
