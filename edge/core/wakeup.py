"""Wakes a loop that sleeps in `select`, `poll` or asyncio, from a signal handler or from another thread."""

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
    """Wakes a loop that watches the read end of a pipe (`fileno`).

    `wake` is safe in signal handlers and in every thread, before and after `close`. Only the thread of the loop calls
    `clear` and `wait`. It is a pipe and not an eventfd, because `signal.set_wakeup_fd` writes single bytes, which an
    eventfd refuses.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Guards against writing to a closed pipe: its descriptor number may belong to another file by then. The lock is
        # re-entrant, because a signal handler that calls `wake` may interrupt `wake`.
        self._open = threading.RLock()
        self.cleared_at = time.monotonic()  # when the loop last called `clear`; the watchdog reads it

    def fileno(self) -> int:
        """Return the descriptor that is readable after `wake`, or -1 after `close`."""
        return self._out

    def wake(self) -> None:
        """Make the descriptor readable. Further calls before `clear` change nothing."""
        with self._open, suppress(BlockingIOError):  # the pipe is full: the loop wakes up anyway
            if self._in >= 0:
                os.write(self._in, b"\0")

    def clear(self) -> frozenset[int]:
        """Clear all wake-ups so far. Call it before looking for work: a call after it could lose a wake-up.

        Returns:
            The numbers of the signals that arrived; see `signals`.
        """
        self.cleared_at = time.monotonic()
        numbers = set[int]()
        with suppress(BlockingIOError):
            while data := os.read(self._out, _READ_BYTES):
                numbers.update(data)
                if len(data) < _READ_BYTES:
                    break
        return frozenset(numbers - {0})

    def wait(self, timeout_s: float | None, *others: int) -> bool:
        """Block until a wake-up or until the time is over. Return True after a wake-up, and do not clear it.

        Args:
            timeout_s: the longest wait in seconds; None means without a limit.
            others: further descriptors; one that becomes readable counts as a wake-up.
        """
        poll = select.poll()
        for fd in (self._out, *others):
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def wake_on_signals(self) -> None:
        """Make every signal with a handler wake the loop, in whichever thread it arrives. Call it in the main thread.

        Python handlers run only in the main thread. Without this call, a signal that the kernel delivers to another
        thread does not wake the main thread.
        """
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Make every signal that has a handler wake the loop, inside the block. Use it in the main thread."""
        previous = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)

    @contextmanager
    def signals(self, numbers: Iterable[signal.Signals]) -> Iterator[None]:
        """Make these signals wake the loop and do nothing else, inside the block. Use it in the main thread.

        The interpreter writes the number of the signal at once. A handler that calls `wake` would run only between two
        bytecodes, so a signal just before the loop falls asleep would not wake it.
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
        """Close the pipe. A second call and a later `wake` do nothing."""
        with self._open:
            ends, self._out, self._in = (self._out, self._in), -1, -1
        for fd in ends:
            if fd >= 0:
                os.close(fd)
