"""Remembers in memory until when each sleeping node is away."""

from __future__ import annotations

import time
from collections.abc import Callable

#: A node that is late by more than this is missing for another reason than its sleep.
_LATE_S = 3600.0
#: Largest number of nodes that are remembered. Few are expected, because each node needs a token that an admin made.
_MOST_NODES = 256


class NodesAway:
    """Holds the wake time of each sleeping node. Belongs to the event loop."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now, self._awake_at = now, dict[str, float]()

    def note(self, node: str, awake_at: float) -> None:
        """Note that the node sleeps until `awake_at`, in epoch seconds. A time in the past means that it is awake."""
        self._awake_at.pop(node, None)
        if awake_at > self._now():
            self._awake_at[node] = awake_at
        while len(self._awake_at) > _MOST_NODES:
            del self._awake_at[next(iter(self._awake_at))]

    def now(self) -> dict[str, float]:
        """Return the wake time of each sleeping node, in epoch seconds. Nodes over an hour late are left out."""
        oldest = self._now() - _LATE_S
        return {node: at for node, at in sorted(self._awake_at.items()) if at > oldest}
