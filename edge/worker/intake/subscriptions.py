"""Which queues this worker consumes over its connection, and how many messages each of them hands out ahead."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.flow.settlement import Settlement
from edge.worker.intake.gate import Gate
from edge.worker.intake.pace import ONE, Pace

#: A worker asks a queue with a backlog at most this often how many consumers the queue has.
_COUNT_EVERY_S = 1.0


class Consumers(Protocol):
    """The consumers of one connection; `QueueConsumers` is the real one. All raise what the connection raises."""

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues consumed from now."""

    def prefetch(self, queue: str) -> int:
        """How many messages `queue` hands out ahead; 0 while it is closed."""

    def open(self, queue: str, *, prefetch: int) -> None:
        """Start consuming."""

    def close_queue(self, queue: str) -> None:
        """Stop consuming; after the return nothing more is delivered."""

    def count(self, queue: str) -> int:
        """How many consumers the queue has."""

    def read(self) -> None:
        """Take in what has come, without waiting for more."""


class Subscriptions:
    """Opens and closes the consumers of one connection, as the gate and the pace of each queue say.

    Belongs to the main thread. All methods that use the connection raise what it raises.
    """

    def __init__(self, *, pace: Pace, settlement: Settlement) -> None:
        self._pace, self._settlement = pace, settlement
        self._consumers: Consumers | None = None
        self._selected: frozenset[str] = frozenset()
        self._gate = Gate.closed()
        self._counted_at = 0.0

    @property
    def gate(self) -> Gate:
        """What may be consumed now."""
        return self._gate

    @property
    def attached(self) -> bool:
        """True while there is a connection."""
        return self._consumers is not None

    def attach(self, consumers: Consumers, selected: Iterable[str]) -> None:
        """A new connection, its consumers all closed; `selected` are the queues of this worker."""
        self._consumers, self._selected = consumers, frozenset(selected)
        self._gate = Gate.closed()

    def detach(self) -> None:
        """The connection is gone."""
        self._consumers = None
        self._gate = Gate.closed()

    def read(self) -> None:
        """Take in what has come over the connection, without waiting for more."""
        if self._consumers is not None:
            self._consumers.read()

    # --- closing ------------------------------------------------------------------------------------------

    def change_gate(self, power: PowerStatus) -> Gate:
        """Take the gate that `power` makes, and close what it forbids. It holds before the first queue is closed."""
        self._gate = Gate.of(power, self._selected)
        self._close_forbidden(self._gate)
        return self._gate

    def close_forbidden(self, power: PowerStatus) -> None:
        """Close what `power` forbids; the gate stays as it is until `change_gate`."""
        self._close_forbidden(Gate.of(power, self._selected))

    def close_all(self) -> None:
        """Close all queues."""
        if self._consumers is not None:
            for queue in self._consumers.queues:
                self._consumers.close_queue(queue)

    def close_windows(self, queues: Iterable[str] | None = None) -> list[str]:
        """Close the queues that hand out more than one message ahead: those of `queues`, else all.

        Returns:
            The names of the closed queues.
        """
        consumers = self._consumers
        if consumers is None:
            return []
        closed = [queue for queue in queues or consumers.queues if consumers.prefetch(queue) > ONE]
        for queue in closed:
            consumers.close_queue(queue)
        return closed

    def _close_forbidden(self, gate: Gate) -> None:
        if self._consumers is not None:
            for queue in self._consumers.queues:
                if not gate.allows(queue):
                    self._consumers.close_queue(queue)

    # --- opening ------------------------------------------------------------------------------------------

    def open_allowed(self, *, one: bool) -> None:
        """Open each queue that the gate allows and of which nothing is in hand; with `one` for one message at a time.

        So a queue with a parked message stays closed.
        """
        if self._consumers is None:
            return
        for queue in sorted(self._gate.queues):
            if not self._consumers.prefetch(queue) and not self._settlement.in_hand(queue):
                self._consumers.open(queue, prefetch=ONE if one else self._pace.prefetch(queue))

    def adjust(self, *, backlog: bool) -> list[str]:
        """Change the prefetch of open queues to what their pace asks for now.

        Args:
            backlog: messages wait in hand, so it is worth asking who else consumes their queues.

        Returns:
            The queues that hand out too much; the caller closes them and gives back what is in hand.
        """
        consumers = self._consumers
        if consumers is None:
            return []
        now = time.monotonic()
        count = backlog and now - self._counted_at >= _COUNT_EVERY_S
        too_much = list[str]()
        for queue in consumers.queues:
            have = consumers.prefetch(queue)
            if (count and have > ONE) or self._pace.prefetch(queue) > have:
                self._counted_at = now
                self._pace.counted(queue, consumers.count(queue))
            want = self._pace.prefetch(queue)
            if want > have:
                consumers.close_queue(queue)
                consumers.open(queue, prefetch=want)
            elif want < have:
                too_much.append(queue)
        return too_much
