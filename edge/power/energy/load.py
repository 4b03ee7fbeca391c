"""Keeps cores busy for a calibration, with one process for each core. The processes end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.process import BaseProcess


class Load:
    """Runs busy processes, each bound to another core. Call `close` at the end."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._cores = sorted(os.sched_getaffinity(0))
        self._busy: list[BaseProcess] = []

    @property
    def cores(self) -> int:
        """Number of cores that can be kept busy."""
        return len(self._cores)

    def set_to(self, count: int) -> None:
        """Keep `count` cores busy. Raises OSError."""
        while len(self._busy) > count:
            process = self._busy.pop()
            process.kill()
            process.join()
        while len(self._busy) < count:
            core = self._cores[len(self._busy)]
            process = self._context.Process(target=_spin, args=(core, os.getpid()), daemon=True)
            process.start()
            self._busy.append(process)

    def close(self) -> None:
        """End all processes."""
        self.set_to(0)


def _spin(core: int, parent: int) -> None:
    """Compute on one core until the parent process is gone."""
    os.sched_setaffinity(0, {core})
    number = 1.0
    while os.getppid() == parent:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for _ in range(1000):
                number = number * 1.0000001 + 0.5
