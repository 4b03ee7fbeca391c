"""Wakes the event loop from a signal handler or another thread; an idle loop may sleep for an hour."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress


class Wakeup:
    """An eventfd. `ring` is safe in signal handlers and threads; the loop watches `fileno`."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.heard_at = time.monotonic()  # when the loop last took note; read by the watchdog

    def fileno(self) -> int:
        """The descriptor that is readable once the bell rang."""
        return self._fd

    def ring(self) -> None:
        """Make `fileno` readable; ringing twice is ringing once."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._fd, 1)

    def hush(self) -> None:
        """Take note of all rings so far."""
        self.heard_at = time.monotonic()
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def wait(self, timeout_s: float) -> None:
        """Block until the bell rings or the time is over."""
        select.select([self._fd], [], [], timeout_s)
