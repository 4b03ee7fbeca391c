"""Pings systemd's watchdog from a thread, because a job may occupy the main thread for a whole night."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.core.notify import Pinger
from edge.core.wakeup import Wakeup
from edge.worker.process.control import Control


class Watchdog:
    """Pings while the idle loop answers its wakeup, or while the running job is within its time limit.

    A job without a limit may run forever. `start` and `stop` belong to the main thread, `healthy` to the thread that
    pings.
    """

    def __init__(
        self, *, wakeup: Wakeup, control: Control, busy: Callable[[], bool], every_s: float | None = None
    ) -> None:
        """Make the watchdog.

        Args:
            wakeup: wakes the event loop, which notes when it has answered.
            control: tells if the running job exceeded its limit.
            busy: returns True while a job is handled in the main thread.
            every_s: time between two pings; by default half of the period that systemd sets.
        """
        self._wakeup = wakeup
        self._control = control
        self._busy = busy
        self._asked_at: float | None = None
        self._pinger = Pinger(self.healthy, every_s=every_s)

    def start(self) -> None:
        """Start pinging, if a supervisor expects pings."""
        self._pinger.start()

    def stop(self) -> None:
        """Stop pinging."""
        self._pinger.stop()

    def healthy(self) -> bool:
        """Return False if a job exceeded its limit, or the idle loop did not answer the wake-up of the last call."""
        if self._busy():
            self._asked_at = None
            return not self._control.overdue
        answered = self._asked_at is None or self._wakeup.cleared_at >= self._asked_at
        self._asked_at = time.monotonic()
        self._wakeup.wake()
        return answered
