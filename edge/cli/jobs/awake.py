"""`edge submit --when-awake` tries again until a sleeping board answers, and writes on stderr that it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from edge.cli import output
from edge.core.errors import Asleep, Unreachable
from edge.core.text import duration

T = TypeVar("T")

#: Seconds between two tries. A board stays up for `power.sleep.min_awake_s` after a boot, which is 60 or more.
_AGAIN_S = 30.0
#: Seconds between two tries after `Asleep`: the board may stay awake for the job, so the next try comes soon.
_SOON_S = 5.0


def when_awake(
    work: Callable[[], T],
    *,
    within_s: float,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> T:
    """Return what `work` returns once the board answers. Raises Unreachable after `within_s`, or an error of `work`."""
    ends, shown = now() + within_s, ""
    while True:
        try:
            return work()
        except Unreachable as err:
            left_s = ends - now()
            if left_s <= 0:
                raise
            if (line := _reason(err)) != shown:
                shown = line
                output.note(f"{line}; trying again for up to {duration(left_s)}")
            sleep(min(left_s, _SOON_S if isinstance(err, Asleep) else _AGAIN_S))


def _reason(err: Unreachable) -> str:
    """Return why the board took nothing. The text of `Asleep` itself asks to try again, which this command does."""
    if not isinstance(err, Asleep):
        return str(err)
    at = f", and is awake again at {output.when(err.awake_at)}" if err.awake_at else ""
    return f"the board is about to sleep{at}"
