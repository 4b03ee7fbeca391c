"""A value that costs something, shared by looks that follow one another closely."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps a value for `same_s` seconds. For one thread at a time."""

    def __init__(self, same_s: float) -> None:
        self._same_s = same_s
        self._kept: tuple[float, T] | None = None

    def get(self, make: Callable[[], T]) -> T:
        """The value, made anew when the kept one is too old."""
        if self._kept is None or time.monotonic() - self._kept[0] > self._same_s:
            self._kept = time.monotonic(), make()
        return self._kept[1]
