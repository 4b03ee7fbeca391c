"""Opens and closes the consumers of this worker, and sets how many messages each queue delivers ahead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.intake.gate import Gate
from edge.worker.intake.pace import ONE, Pace

#: Shortest time between two requests to the broker for the number of consumers of a queue.
_COUNT_EVERY_S = 1.0


class Consumers(Protocol):
    """The consumers of one connection, see `QueueConsumers`. All methods raise any error of the connection."""

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues that are consumed now."""

    def prefetch(self, queue: str) -> int:
        """Return the prefetch of `queue`, or 0 while it is closed."""

    def open(self, queue: str, *, prefetch: int) -> None:
        """Start consuming `queue`."""

    def close_queue(self, queue: str) -> None:
        """Stop consuming `queue`. After the return nothing more is delivered from it."""

    def count(self, queue: str) -> int:
        """Return how many consumers the queue has, on all boards."""

    def limit_answers(self, seconds: float) -> None:
        """Set the time limit for each answer of the broker from now on."""

    def read(self) -> None:
        """Read the frames that have arrived, without waiting for more."""


class Subscriptions:
    """Opens and closes the consumers of one connection by the gate and the pace of each queue.

    Belongs to the main thread. All methods that use the connection raise any error of it.
    """

    def __init__(self, *, pace: Pace, in_hand: Callable[[str], int]) -> None:
        """`in_hand` returns how many messages of a queue are in hand. It must be 0 before a queue is opened."""
        self._pace, self._in_hand = pace, in_hand
        self._consumers: Consumers | None = None
        self._selected: frozenset[str] = frozenset()
        self._gate = Gate.closed()
        self._counted_at = 0.0

    @property
    def gate(self) -> Gate:
        """The gate: the queues that may be consumed now."""
        return self._gate

    @property
    def attached(self) -> bool:
        """True while there is a connection."""
        return self._consumers is not None

    def attach(self, consumers: Consumers, selected: Iterable[str]) -> None:
        """Use a new connection, with all consumers closed. `selected` are the queues of this worker."""
        self._consumers, self._selected = consumers, frozenset(selected)
        self._gate = Gate.closed()

    def detach(self) -> None:
        """Forget the lost connection."""
        self._consumers = None
        self._gate = Gate.closed()

    def read(self) -> None:
        """Read the frames that have arrived on the connection, without waiting for more."""
        if self._consumers is not None:
            self._consumers.read()

    # --- closing ------------------------------------------------------------------------------------------

    def change_gate(self, power: PowerStatus) -> Gate:
        """Set the gate for `power`, close the queues that it forbids, and return it.

        The new gate is valid before the first queue is closed.
        """
        self._gate = Gate.of(power, self._selected)
        self._close_forbidden(self._gate)
        return self._gate

    def close_forbidden(self, power: PowerStatus) -> None:
        """Close the queues that `power` forbids. The gate stays as it is until `change_gate`."""
        self._close_forbidden(Gate.of(power, self._selected))

    def close_all(self, *, answer_s: float | None = None) -> None:
        """Close all queues. From now on the broker must answer within `answer_s`, if it is set."""
        if self._consumers is not None:
            if answer_s is not None:
                self._consumers.limit_answers(answer_s)
            for queue in self._consumers.queues:
                self._consumers.close_queue(queue)

    def close_windows(self, queues: Iterable[str] | None = None) -> list[str]:
        """Close the queues with a prefetch above 1: all of them, or only those in `queues`.

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
        """Open each allowed queue that has no message in hand. With `one` the prefetch is 1.

        So a queue with a parked message stays closed.
        """
        if self._consumers is None:
            return
        for queue in sorted(self._gate.queues):
            if not self._consumers.prefetch(queue) and not self._in_hand(queue):
                self._consumers.open(queue, prefetch=ONE if one else self._pace.prefetch(queue))

    def adjust(self, *, backlog: bool) -> list[str]:
        """Raise the prefetch of open queues to the current prefetch of `Pace`.

        Args:
            backlog: messages wait in hand, so it is worth asking the broker if others consume the same queues.

        Returns:
            The queues whose prefetch is too large now. The caller closes them and gives back their messages.
        """
        consumers = self._consumers
        if consumers is None or self._pace.steady is not None:
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

    def have_more_to_come(self, unacknowledged: Callable[[str], int]) -> bool:
        """Return True if each queue can deliver more without an acknowledgement: it uses less than half its prefetch.

        Args:
            unacknowledged: returns how many messages of a queue are not acknowledged yet.
        """
        consumers = self._consumers
        return consumers is not None and all(
            2 * unacknowledged(queue) < consumers.prefetch(queue) for queue in consumers.queues if unacknowledged(queue)
        )
