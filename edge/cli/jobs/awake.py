"""`--when-awake`: waits for a board that sleeps, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from edge.cli import output
from edge.core.errors import Asleep, Unreachable
from edge.core.text import duration

T = TypeVar("T")

#: Between two tries. A board that wakes by itself is awake for ten minutes at least.
_AGAIN_S = 60.0
#: A board that is about to sleep stays awake for a job where it still can.
_SOON_S = 5.0


def when_awake(
    work: Callable[[], T],
    *,
    within_s: float,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> T:
    """What `work` returns once the board answers. Raises Unreachable after `within_s`, and what else `work` raises."""
    ends, said = now() + within_s, ""
    while True:
        try:
            return work()
        except Unreachable as err:
            left_s = ends - now()
            if left_s <= 0:
                raise
            awake_at = err.awake_at if isinstance(err, Asleep) else None
            at = f"; it is awake again at {output.when(awake_at)}" if awake_at else ""
            if (line := f"{err}{at}") != said:
                said = line
                output.note(f"{line}; waiting for it for up to {duration(left_s)}")
            sleep(min(left_s, _SOON_S if isinstance(err, Asleep) else _AGAIN_S))
