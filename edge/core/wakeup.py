"""Wakes a loop that sleeps in `select`, `poll` or asyncio: from a signal handler, or from another thread."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

_READ_BYTES = 4096


class Wakeup:
    """A pipe whose read end the loop watches by `fileno`.

    `ring` is safe in signal handlers and in every thread, before and after `close`. `hush` and `wait` belong to the
    thread of the loop. A pipe and not an eventfd, because `signal.set_wakeup_fd` writes single bytes, which an
    eventfd refuses.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The number of a closed pipe may be another file's by now. Re-entrant: a signal handler may interrupt `ring`.
        self._open = threading.RLock()
        self.heard_at = time.monotonic()  # when the loop last took note; read by the watchdog

    def fileno(self) -> int:
        """The descriptor that is readable once somebody rang; -1 after `close`."""
        return self._out

    def ring(self) -> None:
        """Make `fileno` readable; ringing twice is ringing once."""
        with self._open, suppress(BlockingIOError):  # full: the loop wakes up anyway
            if self._in >= 0:
                os.write(self._in, b"\0")

    def hush(self) -> frozenset[int]:
        """Take note of all rings so far.

        Returns:
            The numbers of the signals that came; see `signals`.
        """
        self.heard_at = time.monotonic()
        numbers = set[int]()
        with suppress(BlockingIOError):
            while data := os.read(self._out, _READ_BYTES):
                numbers.update(data)
                if len(data) < _READ_BYTES:
                    break
        return frozenset(numbers - {0})

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        """Block until somebody rings or the time is over; True when somebody rang. Takes no note of it.

        One of the descriptors `others` that becomes readable counts as a ring.
        """
        poll = select.poll()
        for fd in (self._out, *others):
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def hear_signals(self) -> None:
        """Let every signal with a handler ring, whichever thread the kernel gives it to. In the main thread.

        The kernel may choose another thread than the main one, which would then sleep on: its handler runs there only.
        """
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)

    @contextmanager
    def signals(self, numbers: Iterable[signal.Signals]) -> Iterator[None]:
        """Let these signals ring, and do nothing else, inside the block. In the main thread.

        The interpreter writes the number at once: a handler that calls `ring` runs only between two bytecodes, so a
        signal that comes just before the loop falls asleep would wait with it.
        """
        previous_fd = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        previous = {number: signal.signal(number, lambda *_: None) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_fd)

    def close(self) -> None:
        """Let the pipe go; may be called twice. A `ring` that comes later does nothing."""
        with self._open:
            ends, self._out, self._in = (self._out, self._in), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
