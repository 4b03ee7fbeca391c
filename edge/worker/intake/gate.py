"""The gate: what this worker may consume now, as a value. It is made anew at each news of power."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from edge.broker.topology import DEAD_NAME, class_of
from edge.model import ALLOWED, PowerState, PowerStatus


@dataclass(frozen=True)
class Gate:
    """Which queues are open, and the word of the governor that decided so."""

    queues: frozenset[str]
    power: PowerStatus

    @classmethod
    def of(cls, power: PowerStatus, selected: Set[str]) -> Gate:
        """The gate at this power, for a worker of the queues `selected`."""
        allowed = ALLOWED[power.state]
        names = {queue for queue in selected if queue != DEAD_NAME and class_of(queue) in allowed}
        if allowed:
            names.add(DEAD_NAME)
        return cls(frozenset(names), power)

    @classmethod
    def closed(cls) -> Gate:
        """Nothing is consumed before a governor that lives has spoken in this boot."""
        return cls(frozenset(), PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet"))

    def allows(self, queue: str) -> bool:
        """True while messages of `queue` may start."""
        return queue in self.queues
