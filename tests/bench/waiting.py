"""Waits for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(what: Callable[[], bool], *, seconds: float, why: str, every_s: float = 0.002) -> None:
    """Return once `what()` is true; raise TimeoutError with `why` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{why}: not in {seconds:g} s")
        time.sleep(every_s)
