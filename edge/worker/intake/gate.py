"""Decides by a power report which queues this worker may consume. The gate is a value, made anew from each report."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from edge.broker.topology import DEAD_NAME, class_of
from edge.model import ALLOWED, PowerState, PowerStatus


@dataclass(frozen=True)
class Gate:
    """The queues that may be consumed, and the governor's report that decided this."""

    queues: frozenset[str]
    power: PowerStatus

    @classmethod
    def of(cls, power: PowerStatus, selected: Set[str]) -> Gate:
        """Return the gate for this report, for a worker that consumes the queues `selected`."""
        allowed = ALLOWED[power.state]
        names = {queue for queue in selected if queue != DEAD_NAME and class_of(queue) in allowed}
        if allowed:
            names.add(DEAD_NAME)
        return cls(frozenset(names), power)

    @classmethod
    def closed(cls) -> Gate:
        """Return the gate before the first report. Nothing is consumed until a living governor reports in this boot."""
        return cls(frozenset(), PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet"))

    def allows(self, queue: str) -> bool:
        """Return True if jobs of `queue` may start."""
        return queue in self.queues
