"""One line a minute about what others send: a client that sends rubbish must not fill the card with our log."""

from __future__ import annotations

import logging
import time

_EVERY_S = 60.0

log = logging.getLogger("edge.gateway.mqtt")


class LogLimit:
    """Writes a warning, or counts it where one was written within the last minute."""

    def __init__(self) -> None:
        self._at = -_EVERY_S
        self._left_out = 0

    def warn(self, line: str) -> None:
        """Log `line`, with how many were left out since the last one."""
        now = time.monotonic()
        if now - self._at < _EVERY_S:
            self._left_out += 1
            return
        more = f" ({self._left_out} like it were left out)" if self._left_out else ""
        self._at, self._left_out = now, 0
        log.warning("%s%s", line, more)


def shown(payload: bytes) -> str:
    """The beginning of a payload of somebody else, on one line."""
    return repr(payload[:60].decode("utf-8", "replace"))
