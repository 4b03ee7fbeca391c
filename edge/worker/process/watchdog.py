"""Whether this worker still works, asked from a thread: its main thread may rightly be busy for a night."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.core.notify import Pinger
from edge.core.wakeup import Wakeup
from edge.worker.process.control import Control


class Watchdog:
    """Pings the supervisor while the loop answers its wakeup, or while the job is within its limit.

    `busy` tells whether a message is worked on. A job without a limit may take for ever: nobody said otherwise.
    """

    def __init__(
        self, *, wakeup: Wakeup, control: Control, busy: Callable[[], bool], every_s: float | None = None
    ) -> None:
        self._wakeup = wakeup
        self._control = control
        self._busy = busy
        self._asked_at: float | None = None
        self._pinger = Pinger(self.well, every_s=every_s)

    def start(self) -> None:
        """Begin, where a supervisor watches."""
        self._pinger.start()

    def stop(self) -> None:
        """End."""
        self._pinger.stop()

    def well(self) -> bool:
        """True unless a job outlived its limit, or the idle loop did not answer the ring of the last call."""
        if self._busy():
            self._asked_at = None
            return not self._control.overdue
        answered = self._asked_at is None or self._wakeup.heard_at >= self._asked_at
        self._asked_at = time.monotonic()
        self._wakeup.ring()
        return answered
