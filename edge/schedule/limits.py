"""Computes how many more jobs of a kind its limits (at the same time, per minute) allow to start.

Pure functions. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edge.config import LimitConfig

MINUTE_S = 60.0


class Room(msgspec.Struct, frozen=True):
    """The number of further jobs that the broker may get now."""

    jobs: int
    #: Seconds until a start leaves the last minute; None if there is room now, or if only the end of a job makes room.
    again_s: float | None = None


def room(limit: LimitConfig, *, out: int, may_begin: int, begun: Iterable[float], now: float) -> Room:
    """Return the room that `limit` leaves.

    Args:
        limit: the limit of the kind.
        out: number of jobs that are with the broker or run.
        may_begin: number of these jobs that may have begun within the last minute, or may still begin.
        begun: start times of jobs that have ended. Times more than a minute ago are ignored.
        now: monotonic seconds.
    """
    jobs = out if limit.at_once is None else limit.at_once - out
    again_s: float | None = None
    if limit.per_minute is not None:
        lately = sorted(at for at in begun if now - at < MINUTE_S)
        left = limit.per_minute - may_begin - len(lately)
        jobs = left if limit.at_once is None else min(jobs, left)
        if left <= 0 and lately:
            # Now `-left` starts are over the limit. There is room for one when `1 - left` starts are older than a
            # minute.
            again_s = lately[min(-left, len(lately) - 1)] + MINUTE_S - now
    return Room(max(0, jobs), again_s)
