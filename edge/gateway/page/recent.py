"""A value that is expensive to compute, and that requests within some seconds share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps a value for `same_s` seconds. Not thread-safe."""

    def __init__(self, same_s: float) -> None:
        self._same_s = same_s
        self._kept: tuple[float, T] | None = None

    def get(self, make: Callable[[], T]) -> T:
        """Return the kept value. If it is too old, `make` is called for a new one."""
        if self._kept is None or time.monotonic() - self._kept[0] > self._same_s:
            self._kept = time.monotonic(), make()
        return self._kept[1]
