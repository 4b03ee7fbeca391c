"""Threads that bodies run in: started when they are needed, ended when they have idled for a while."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

#: A thread that had nothing to do for this long ends. So an idle worker has none, and no wake-ups.
IDLE_S = 10.0
#: Only touched pages take memory. Python's recursion limit is reached before this is full, also where C code calls
#: Python code that calls C code: `sorted` with a `key` that sorts needs more than 2 MiB on 64 bits.
STACK_BYTES = (4 if sys.maxsize > 2**32 else 2) << 20


class ThreadPool:
    """Calls functions in daemon threads. `submit` belongs to one thread."""

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait and that no call was put for

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, which raises nothing, in a thread. Raises RuntimeError when no thread can be started."""
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
            del call  # with all that the body left
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
                    # a call was put for a thread that waits: this one takes it
