"""Describes a lane: the jobs that share a queue of the broker. A kind with a limit has separate lanes."""

from __future__ import annotations

import msgspec

from edge.model import Power


class Lane(msgspec.Struct, frozen=True):
    """Selects the jobs of a lane. The gateway releases the jobs of a lane in order, and each lane independently."""

    queue: str
    power: Power
    kinds: frozenset[str]
    only: bool  # True: the lane has the jobs of `kinds`; False: the jobs of all other kinds
    limited: str = ""  # if the lane is for a kind with a limit, the name of that kind
