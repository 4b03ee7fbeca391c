"""Limits the log to one line a minute about bad messages: a client that sends many must not fill the card."""

from __future__ import annotations

import logging
import time

_EVERY_S = 60.0

log = logging.getLogger("edge.gateway.mqtt")


class LogLimit:
    """Writes a warning, or only counts it if one was written within the last minute. Belongs to the event loop."""

    def __init__(self) -> None:
        self._at = -_EVERY_S
        self._left_out = 0

    def warn(self, line: str) -> None:
        """Log `line` with the number of lines that were left out before it, or leave it out and count it."""
        now = time.monotonic()
        if now - self._at < _EVERY_S:
            self._left_out += 1
            return
        more = f" ({self._left_out} similar lines before it were left out)" if self._left_out else ""
        self._at, self._left_out = now, 0
        log.warning("%s%s", line, more)


def shown(payload: bytes) -> str:
    """Return the beginning of a received payload on one line, for the log."""
    return repr(payload[:60].decode("utf-8", "replace"))
