"""A lane: jobs that share a queue of the broker, and a limit where their kind has one."""

from __future__ import annotations

import msgspec

from edge.model import Power


class Lane(msgspec.Struct, frozen=True):
    """Which jobs are in a lane. The gateway releases the jobs of a lane in order, and each lane independently."""

    queue: str
    power: Power
    kinds: frozenset[str]
    only: bool  # the lane has just `kinds`; False: all others
    limited: str = ""  # the one kind of this lane, which has a limit
