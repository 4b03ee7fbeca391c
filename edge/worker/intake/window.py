"""The window: messages in hand whose bodies have not begun. They wait for their turn, or they are parked."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

from edge.model import Parked
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.flow.settlement import Settlement
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)


class Window:
    """Holds the attempts at the messages in hand, in their order of arrival. Belongs to the main thread.

    A parked message may not begin yet. It is not given back, because the broker would deliver it again at once.
    """

    def __init__(self, *, settlement: Settlement, history: AttemptHistory, status: StatusFile) -> None:
        self._settlement, self._history, self._status = settlement, history, status
        self._waiting: deque[Attempt] = deque()
        self._parked: list[Attempt] = []

    def __len__(self) -> int:
        """Return how many messages wait for their turn. Parked ones are not counted."""
        return len(self._waiting)

    @property
    def parked(self) -> tuple[Attempt, ...]:
        """The attempts that may not begin yet, the oldest first."""
        return tuple(self._parked)

    def of_queue(self, queue: str) -> int:
        """Return how many messages of `queue` wait or are parked."""
        return sum(each.delivery.queue == queue for each in (*self._waiting, *self._parked))

    def add(self, delivery: Delivery) -> None:
        """Add a message from the broker after the others."""
        self._settlement.take(delivery)
        self._waiting.append(Attempt(delivery))

    def first(self) -> Attempt | None:
        """Return the attempt whose turn is next, or None. It stays in the window."""
        return self._waiting[0] if self._waiting else None

    def put_first(self, attempts: Iterable[Attempt]) -> None:
        """Put these attempts before all others, in their order."""
        self._waiting.extendleft(reversed(list(attempts)))

    def remove(self, attempt: Attempt) -> None:
        """Remove an attempt that begins: the first waiting one, or a parked one."""
        if self._waiting and self._waiting[0] is attempt:
            self._waiting.popleft()
        else:
            self._parked.remove(attempt)

    def park(self, attempt: Attempt) -> None:
        """Keep an attempt that may not begin yet and that `remove` has removed before."""
        self._parked.append(attempt)

    def give_back(self, goes_back: Callable[[Attempt], bool], *, parked: bool) -> None:
        """Put messages back into their queues: those of the waiting attempts for which `goes_back` returns True.

        With `parked` this includes the parked attempts. Raises any error of the connection.
        """
        back = [each for each in (*self._waiting, *(self._parked if parked else ())) if goes_back(each)]
        if back:
            self._waiting = deque(each for each in self._waiting if each not in back)
            self._parked = [each for each in self._parked if each not in back]
            self.return_to_queues(back)

    def return_to_queues(self, attempts: list[Attempt]) -> None:
        """Put back the messages of attempts that are not in the window any more. Raises any error of the connection."""
        for attempt in attempts:
            self._history.give_back(attempt.delivery)
        logger.debug("%d messages go back to their queues", len(attempts))
        self._settlement.give_back([attempt.delivery for attempt in attempts])

    def clear(self) -> None:
        """Forget all messages: their connection is lost, and the broker delivers them again."""
        for attempt in (*self._waiting, *self._parked):
            self._history.give_back(attempt.delivery)
        self._waiting.clear()
        self._parked.clear()
        self.report_parked()

    def report_parked(self) -> None:
        """Write the parked jobs and their reasons to the status file if they have changed."""
        parked = tuple(Parked(attempt.id, attempt.parked) for attempt in self._parked if attempt.parked is not None)
        if parked != self._status.status.parked:
            self._status.update(parked=parked)
