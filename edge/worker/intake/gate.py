"""The gate: what this worker may consume now, as a value. It is made anew at each news of power."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from edge.broker.topology import DEAD_NAME, queue_name
from edge.model import ALLOWED, PowerState, PowerStatus


@dataclass(frozen=True)
class Gate:
    """Which queues are open, and the word of the governor that decided so."""

    queues: frozenset[str]
    power: PowerStatus

    @classmethod
    def of(cls, power: PowerStatus, selected: Set[str]) -> Gate:
        """The gate at this power, for a worker of the queues `selected`."""
        names = {queue_name(klass) for klass in ALLOWED[power.state]}
        if names:
            names.add(DEAD_NAME)
        return cls(frozenset(names & (selected | {DEAD_NAME})), power)

    @classmethod
    def closed(cls) -> Gate:
        """Nothing is consumed before a governor that lives has spoken in this boot."""
        return cls(frozenset(), PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet"))

    def allows(self, queue: str) -> bool:
        """True while messages of `queue` may start."""
        return queue in self.queues
