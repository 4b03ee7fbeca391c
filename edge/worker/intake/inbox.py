"""The messages this worker has in hand: one a queue at most, worked off one at a time, held while the disk refuses."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from celery.utils.log import get_logger

from edge.core.backoff import Backoff
from edge.core.errors import EdgeError
from edge.core.wakeup import Wakeup
from edge.model import Parked, PowerStatus, WaitReason
from edge.worker.attempt import delivery as deliveries
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = get_logger(__name__)

_HOLD = Backoff(first_s=1.0, most_s=30.0)


class QueueGate(Protocol):
    """The gate, as far as messages in hand go."""

    def refresh(self) -> None:
        """Look at the power once more, and stop consuming what it no longer allows."""

    def reopen(self) -> None:
        """Ask the broker anew for messages."""

    def allows(self, queue: str) -> bool:
        """May a message of this queue start now?"""

    @property
    def said(self) -> PowerStatus:
        """The governor's word as it was read last."""


@dataclass
class Blocked:
    """A delivery whose files could not be written: `finish` is tried again until they can."""

    delivery: Delivery
    finish: Callable[[Delivery], None]
    message_lost: bool = False


class Inbox:
    """Takes messages, and gives them to `process` when it may.

    `lock` guards `running_id`; all else belongs to the main thread.

    A delivery must never be let go without a durable result, attempt or tombstone: `process` calls `hold` when it
    cannot make one.
    """

    def __init__(
        self,
        *,
        root: Path,
        status: StatusFile,
        history: AttemptHistory,
        control: Control,
        bell: Wakeup,
        later: Callable[[float, Callable[[], None]], object],
        process: Callable[[Delivery], None],
        objection: Callable[[Delivery, bool], WaitReason | None] = lambda _delivery, _parked: None,
    ) -> None:
        """`objection` tells why a delivery, parked already or not, may not begin although its class may."""
        self.lock = threading.Lock()
        self.running_id: str | None = None
        self.door: QueueGate | None = None
        self._root = root
        self._status = status
        self._history = history
        self._control = control
        self._bell = bell
        self._later = later
        self._process = process
        self._objection = objection
        self._parked: list[tuple[Delivery, WaitReason]] = []  # of their queues nothing more comes meanwhile
        self._pending: deque[Delivery] = deque()
        self._held: Blocked | None = None
        self._holds = 0

    def accept(self, queue: str, message: Any, error: BaseException | None = None) -> None:
        """Take a message off the wire; it is run by a later `step`, never inside a read of the connection."""
        delivery = deliveries.read(message, queue, error)
        if self._held is not None and self._held.delivery.id == delivery.id and self._held.message_lost:
            self._held.delivery = delivery
            self._held.message_lost = False
            return
        self._pending.append(delivery)
        self._bell.ring()

    def connection_lost(self) -> None:
        """Forget the messages of a connection that is gone; the broker delivers them again."""
        for delivery in self._pending:
            self._history.give_back(delivery)
        self._pending.clear()
        for delivery, _ in self._parked:
            self._history.give_back(delivery)
        self._parked.clear()
        self._tell_parked()
        if self._held is not None:
            self._held.message_lost = True

    def give_back(self, allows: Callable[[str], bool]) -> None:
        """Requeue what waits here and may no longer start."""
        for delivery in [delivery for delivery in self._pending if not allows(delivery.queue)]:
            self._pending.remove(delivery)
            self._requeue(delivery)
        for parked in [parked for parked in self._parked if not allows(parked[0].queue)]:
            self._parked.remove(parked)
            self._requeue(parked[0])
        self._tell_parked()

    def step(self) -> None:
        """Work on one message if there is one and nothing is held; ring again while there are more."""
        if self._held is not None or not (self._pending or self._parked) or self._control.stopping:
            return
        if self.door is not None:
            self.door.refresh()  # gives back what may not start
        self._park()
        if self._pending:
            self._work(self._pending.popleft(), self._process)
        if self._pending:
            self._bell.ring()

    def reconsider(self) -> None:
        """Something changed that a parked job may wait for; callable from any thread."""
        if self._parked:
            self._bell.ring()

    def _park(self) -> None:
        """Take what may not begin out of the way, and what may by now back into it.

        A parked message stays unacknowledged: its place in the queue is kept, its class waits behind it, the others
        do not. Given back, it would be here again at once.
        """
        parked, self._parked = self._parked, []
        for delivery, why in parked:
            now = self._objection(delivery, True)
            if now is None:
                self._pending.appendleft(delivery)
            else:
                self._parked.append((delivery, msgspec.structs.replace(now, since=why.since)))
        for delivery in list(self._pending):
            why_not = self._objection(delivery, False)
            if why_not is not None:
                self._pending.remove(delivery)
                self._parked.append((delivery, msgspec.structs.replace(why_not, since=time.time())))
                logger.info("Task %s[%s] is not begun: %s", delivery.task, delivery.id, why_not.reason)
        self._tell_parked()

    def _tell_parked(self) -> None:
        told = tuple(Parked(delivery.id, why) for delivery, why in self._parked)
        if told != self._status.status.parked:
            self._status.say(parked=told)

    def acknowledge(self, delivery: Delivery) -> None:
        """Let the message go. Stops consuming first what power no longer allows: the ack lets the next one in."""
        lost = self._held is not None and self._held.delivery is delivery and self._held.message_lost
        if self.door is not None:
            self.door.refresh()
        if not lost:
            delivery.message.ack()
        self._holds = 0

    def hold(self, delivery: Delivery, finish: Callable[[Delivery], None], err: OSError) -> None:
        """Keep a delivery that a failing disk stops, and say so; nothing else starts until `finish` went through."""
        self._holds += 1
        hold_s = _HOLD.pause_s(self._holds)
        lost = self._held.message_lost if self._held is not None else False
        self._held = Blocked(delivery, finish, lost)
        away = isinstance(err, EdgeError)  # a node's head, which says what is wrong; else it is the disk
        reason = str(err) if away else f"cannot write under {self._root}: {err.strerror or err}"
        logger.error("Task %s[%s] is held: %s; trying again in %.0f s", delivery.task, delivery.id, reason, hold_s)
        self._status.rest(reason=reason)
        self._later(hold_s, self._try_held)

    def put_back(self, delivery: Delivery) -> None:
        """The body of a held delivery is still to begin: in the next step, if power allows that by then."""
        if self._held is not None and self._held.delivery is delivery and self._held.message_lost:
            self._history.give_back(delivery)  # it comes again
        else:
            self._pending.appendleft(delivery)

    def _try_held(self) -> None:
        held = self._held
        if held is None or self._control.stopping:
            return
        try:
            if held.finish == self._process:
                self.put_back(held.delivery)
            else:
                self._work(held.delivery, held.finish)
        finally:
            if self._held is held:  # not held anew: through, or to begin, or its connection broke and it comes again
                self._held = None
                self._status.say(reason="")
                self._bell.ring()
        if self._pending and self._pending[0] is held.delivery:
            self.step()  # it was put back
        if self._held is None and self.door is not None:
            self.door.reopen()

    def _requeue(self, delivery: Delivery) -> None:
        logger.info("Task %s[%s] goes back to %s: not enough power", delivery.task, delivery.id, delivery.queue)
        self._history.give_back(delivery)
        delivery.message.requeue()

    def _work(self, delivery: Delivery, work: Callable[[Delivery], None]) -> None:
        """Do `work` with the id known as running: whoever cancels looks at it under the lock."""
        with self.lock:
            self.running_id = delivery.id
        try:
            work(delivery)
        finally:
            with self.lock:
                self.running_id = None
