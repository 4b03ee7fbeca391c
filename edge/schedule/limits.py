"""How many jobs of a kind may be at work: at once, and begun in a minute. Pure functions; times are monotonic."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edge.config import LimitConfig

MINUTE_S = 60.0


class Room(msgspec.Struct, frozen=True):
    """How many more jobs may go out now, and in how many seconds there may be more room; None: when one ends."""

    jobs: int
    again_s: float | None = None


def room(limit: LimitConfig, *, out: int, may_begin: int, begun: Iterable[float], now: float) -> Room:
    """Return the room that `limit` leaves.

    Args:
        limit: the limit of the kind.
        out: jobs that are with the broker or run.
        may_begin: those of them that may have begun within the last minute, or may still begin.
        begun: when jobs that have ended began; times more than a minute ago are ignored.
        now: the present time.
    """
    jobs = out if limit.at_once is None else limit.at_once - out
    again_s: float | None = None
    if limit.per_minute is not None:
        lately = sorted(at for at in begun if now - at < MINUTE_S)
        left = limit.per_minute - may_begin - len(lately)
        jobs = left if limit.at_once is None else min(jobs, left)
        if left <= 0 and lately:
            # There is room once so many of these starts are a minute old: one more than there are too many now.
            again_s = lately[min(-left, len(lately) - 1)] + MINUTE_S - now
    return Room(max(0, jobs), again_s)
