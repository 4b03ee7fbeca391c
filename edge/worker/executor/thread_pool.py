"""Runs bodies in threads, which start when they are needed and end after some idle time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

#: A thread ends after this idle time, so an idle worker has no threads and no wake-ups.
IDLE_S = 10.0
#: Size of a thread's stack. Only pages that are used take memory. Python's recursion limit is reached before the stack
#: is full, also if C code calls Python code that calls C code: nested `sorted` with a `key` needs more than 2 MiB on 64
#: bits.
STACK_BYTES = (4 if sys.maxsize > 2**32 else 2) << 20


class ThreadPool:
    """Calls functions in daemon threads. `submit` belongs to one thread."""

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # waiting threads for which no call is in the queue

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, which must raise nothing, in a thread. Raises RuntimeError if no thread can be started."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._calls.put(call)
                return
        previous = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._work, args=(call,), name="idle", daemon=True).start()
        finally:
            threading.stack_size(previous)

    def _work(self, call: Callable[[], None]) -> None:
        while True:
            call()
            del call  # frees what the body still referred to
            with self._lock:
                self._idle += 1
            while True:
                try:
                    call = self._calls.get(timeout=self._idle_s)
                    break
                except Empty:
                    with self._lock:
                        if self._idle:
                            self._idle -= 1
                            return
                    # a call was queued for a waiting thread just now: take it
