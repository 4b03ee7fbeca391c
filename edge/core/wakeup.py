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
        # Guards against writing to a closed pipe, whose number may belong to another file. Re-entrant: a signal handler
        # may interrupt `ring`.
        self._open = threading.RLock()
        self.heard_at = time.monotonic()  # when the loop last called `hush`; read by the watchdog

    def fileno(self) -> int:
        """Return the descriptor that is readable after a `ring`; -1 after `close`."""
        return self._out

    def ring(self) -> None:
        """Make `fileno` readable; ringing twice is ringing once."""
        with self._open, suppress(BlockingIOError):  # full: the loop wakes up anyway
            if self._in >= 0:
                os.write(self._in, b"\0")

    def hush(self) -> frozenset[int]:
        """Clear all rings so far. Call it before looking for work, or a ring may be lost.

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
        """Block until a ring or the end of the time; True after a ring, which is not cleared.

        A descriptor of `others` that becomes readable counts as a ring.
        """
        poll = select.poll()
        for fd in (self._out, *others):
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def hear_signals(self) -> None:
        """Let every signal with a handler ring, whichever thread gets it. Call it in the main thread.

        Otherwise a signal that the kernel delivers to another thread does not wake the main thread, in which alone its
        Python handler can run.
        """
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Let every signal with a handler ring inside the block. Use it in the main thread."""
        previous = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)

    @contextmanager
    def signals(self, numbers: Iterable[signal.Signals]) -> Iterator[None]:
        """Let these signals only ring inside the block. Use it in the main thread.

        The interpreter writes the number at once. A handler that calls `ring` would run only between two bytecodes, so
        a signal just before the loop falls asleep would not wake it.
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
        """Close the pipe; may be called twice. A later `ring` does nothing."""
        with self._open:
            ends, self._out, self._in = (self._out, self._in), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
