"""The intake: takes messages as far as power allows, works them off, and tells the broker what became of them.

It holds a window of messages in hand, so that jobs which end at once become durable together and are acknowledged
together. Whatever is in hand here no other worker can run: before a body that may last, and at a pause, what has ended
is committed and acknowledged, and the rest is given back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from celery.utils.log import get_logger

from edge.broker.border import Message
from edge.broker.topology import CONNECTION_ERRORS, explain
from edge.core.wakeup import Wakeup
from edge.model import Parked
from edge.worker.attempt import delivery as deliveries
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.executor import Executor
from edge.worker.flow.flow import Flow
from edge.worker.flow.late_acks import WAIT_S, LateAcks
from edge.worker.flow.settlement import Channel, Settlement
from edge.worker.intake.gate import Gate
from edge.worker.intake.pace import ONE, Pace
from edge.worker.power.feasibility import KindAverages
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = get_logger(__name__)

#: A queue with a backlog is asked so often who else consumes it.
_COUNT_EVERY_S = 1.0
_BACKLOG = 2


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


class Timer(Protocol):
    """A call that the loop makes later."""

    def cancel(self) -> None:
        """Do not make it."""


class Intake:
    """Works off messages, one after another. Belongs to the main thread, but for `reconsider`."""

    def __init__(
        self,
        *,
        watcher: PowerWatcher,
        flow: Flow,
        executor: Executor,
        settlement: Settlement,
        pace: Pace,
        averages: KindAverages,
        history: AttemptHistory,
        control: Control,
        status: StatusFile,
        bell: Wakeup,
        later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        """`bell` makes the loop call `step`; `later(delay_s, call)` is the loop's."""
        self._watcher = watcher
        self._flow, self._executor = flow, executor
        self._settlement, self._pace = settlement, pace
        self._averages, self._history = averages, history
        self._control, self._status = control, status
        self._bell, self._later = bell, later
        self._consumers: Consumers | None = None
        self._selected: frozenset[str] = frozenset()
        self._gate = Gate.closed()
        self._waiting: deque[Attempt] = deque()
        self._parked: list[Attempt] = []  # of their queues nothing more begins meanwhile
        self._seen: set[str] = set()  # queues that have delivered over this connection
        self._reconsider = False
        self._opened = False  # the loop runs
        self._lasting = False  # a body begins or runs that may take long
        self._broken = False  # a body found the connection broken: the loop that comes after it makes another
        self._counted_at = 0.0
        self._expiry: Timer | None = None
        self._late = LateAcks()
        self._late_timer: Timer | None = None

    @property
    def gate(self) -> Gate:
        """What may be consumed now."""
        return self._gate

    # --- the connection -----------------------------------------------------------------------------------

    def attach(self, consumers: Consumers, channel: Channel, selected: Iterable[str]) -> None:
        """A new connection, its consumers all closed until `open`; `selected` are the queues of this worker."""
        self._settlement.attach(channel)
        self._selected = frozenset(selected)
        self._consumers, self._opened, self._broken = consumers, False, False
        self._gate = Gate.closed()
        self._seen.clear()

    def open(self) -> None:
        """The loop is about to run: open what may be open. Raises what the connection raises."""
        self._opened = True
        self._watcher.look()
        self._apply()
        self._bell.ring()

    def connection_lost(self) -> None:
        """Commit what has ended, and forget the messages of a connection that is gone; the broker delivers them again.

        What is blocked stays, and meets its message when that comes again.
        """
        self._consumers = None
        self._flow.commit()
        self._late.take()  # they come again, and find their results
        if self._late_timer is not None:
            self._late_timer.cancel()
            self._late_timer = None
        self._settlement.detach()
        for attempt in (*self._waiting, *self._parked):
            self._history.give_back(attempt.delivery)
        self._waiting.clear()
        self._parked.clear()
        self._gate = Gate.closed()
        self._tell_parked()

    def release(self) -> None:
        """The worker ends: nothing more comes, what has ended is acknowledged, all else goes back.

        Raises what the connection raises.
        """
        if self._consumers is None:
            return
        for queue in self._consumers.queues:
            self._consumers.close_queue(queue)
        self._commit()
        self._settlement.give_back_all()
        self.connection_lost()

    def accept(self, queue: str, message: Message, error: BaseException | None = None) -> None:
        """Take a message off the wire; it is run by a later `step`, never inside a read of the connection."""
        delivery = deliveries.read(message, queue, error, head=queue not in self._seen)
        self._seen.add(queue)
        self._settlement.take(delivery)
        if not self._waiting:
            self._bell.ring()
        self._waiting.append(Attempt(delivery))

    # --- what the loop calls ------------------------------------------------------------------------------

    def step(self) -> None:
        """Work off messages until a group is full, none is left, or power falls. Raises what the connection raises."""
        self.refresh()
        for ended in self._executor.ended():
            self._flow.advance(ended, self._gate.power)
        self._unpark()
        while self._may_begin() and (attempt := self._next()) is not None:
            soon = self._begin(attempt)
            self.refresh()
            if not soon or self._flow.batch.due():
                break
        self._commit(may_wait=True)
        if self._control.stopping:
            return
        self.refresh()  # what was closed for the acknowledgement is not to be opened again
        self._adjust()
        if self._waiting and self._may_begin():
            self._bell.ring()

    def refresh(self) -> None:
        """Act on news of power. One system call when there are none. Raises what the connection raises."""
        self._watcher.look()
        while self._watcher.status is not self._gate.power and self._consumers is not None and self._opened:
            self._apply()
            self._watcher.look()  # closing a queue takes its time

    def reconsider(self) -> None:
        """Something changed that a parked job may wait for; callable from any thread."""
        if self._parked:
            self._reconsider = True
            self._bell.ring()

    def tend(self) -> None:
        """A body lasts, or is held: nothing waits for its end. A connection that broke is left to the loop after it.

        Called from within the body, also in a signal's handler.
        """
        if self._broken or self._consumers is None:
            return
        try:
            self.refresh()
            self._commit()
            self._keep_one()
        except CONNECTION_ERRORS as err:
            self._broken = True
            logger.warning("broker connection lost: %s; connecting again after the job", explain(err))

    def retry(self) -> None:
        """Try again what was blocked. Raises what the connection raises."""
        if self._control.stopping:
            return
        begins: list[Attempt] = []
        for attempt in self._flow.blocked.take():
            if not self._flow.resume(attempt, self._gate.power):
                continue
            if self._settlement.holds(attempt.delivery):
                begins.append(attempt)  # its body is to begin: in the next step, if power allows that by then
            else:
                self._history.give_back(attempt.delivery)  # it comes again
        self._waiting.extendleft(reversed(begins))
        self._commit()
        if self._flow.blocked:
            return
        self._status.say(reason="")
        self.step()
        if not self._flow.blocked:
            self._reopen()

    # --- one message --------------------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        return not self._control.stopping and not self._flow.blocked and self._executor.room > 0

    def _next(self) -> Attempt | None:
        """The next message in hand; what has come meanwhile is read only when there is none."""
        if not self._waiting and self._consumers is not None:
            self._consumers.read()
        return self._waiting[0] if self._waiting else None

    def _begin(self, attempt: Attempt) -> bool:
        """Let a message in hand go its way; False when it may have taken long."""
        delivery = attempt.delivery
        short = self._averages.is_short(delivery.task)
        # What may have been begun before may end this process: nobody else is to begin again for it. And what has
        # just ended is not run once more for another copy of its message.
        alone = not short or self._history.unsure(delivery) or delivery.id in self._flow.batch
        if alone or self._flow.batch.due(next_s=self._averages.mean_s(delivery.task)):
            self._commit()
        self._pace.began(delivery.queue, short=short)
        self._lasting = not short
        try:
            if not short:
                self._keep_one(attempt)
            self.refresh()  # power may have fallen meanwhile, and nothing begins after such news
            if not self._settlement.holds(delivery):
                return True  # it went back
            self._forget(attempt)
            if not self._gate.allows(delivery.queue):
                self._give_back([attempt])
                return True
            self._flow.advance(attempt, self._gate.power)
        finally:
            self._lasting = False
        if attempt.begins and attempt.parked is not None:
            self._park(attempt)
        return short

    def _forget(self, attempt: Attempt) -> None:
        if self._waiting and self._waiting[0] is attempt:
            self._waiting.popleft()
        else:
            self._parked.remove(attempt)

    def _commit(self, *, may_wait: bool = False) -> None:
        """Make what has ended durable, and acknowledge it; where it `may_wait` for others, perhaps later.

        Consumers that power no longer allows are closed first: it is the acknowledgement that lets more messages in.
        """
        done = self._flow.commit()
        self._late.add(done)
        if not self._late:
            return
        self._watcher.look()
        if self._watcher.status is not self._gate.power:
            self._close_what_may_not(Gate.of(self._watcher.status, self._selected))
        alone = len(done) == 1  # more of them are acknowledged together already
        if may_wait and alone and not self._late.due and self._has_more_to_come():
            if self._late_timer is None:
                self._late_timer = self._later(WAIT_S, self._acknowledge_late)
            return
        self._settlement.acknowledge(self._late.take())

    def _has_more_to_come(self) -> bool:
        """True while no queue needs an acknowledgement to hand out more: less than half of its window is in hand."""
        consumers = self._consumers
        return consumers is not None and all(
            2 * self._settlement.in_hand(queue) < consumers.prefetch(queue)
            for queue in consumers.queues
            if self._settlement.in_hand(queue)
        )

    def _acknowledge_late(self) -> None:
        """Nothing more came. Raises what the connection raises."""
        self._late_timer = None
        self.step()

    # --- parked -------------------------------------------------------------------------------------------

    def _park(self, attempt: Attempt) -> None:
        """Keep a message that may not begin yet: its place in the queue is kept, and its class waits behind it.

        Given back it would be here again at once. The rest of its queue goes back, for another worker may run it.
        """
        self._parked.append(attempt)
        if attempt.not_before:
            self._later(max(attempt.not_before - time.monotonic(), 0.0), self.reconsider)
        self._keep_one(queues=(attempt.delivery.queue,))
        self._tell_parked()

    def _unpark(self) -> None:
        """Look again at what is parked, where something has changed."""
        if not self._parked or not self._reconsider:
            return
        self._reconsider = False
        for attempt in list(self._parked):
            if self._may_begin() and attempt in self._parked and attempt.not_before <= time.monotonic():
                self._begin(attempt)
        self._commit()
        self._tell_parked()

    def _tell_parked(self) -> None:
        told = tuple(Parked(attempt.id, attempt.parked) for attempt in self._parked if attempt.parked is not None)
        if told != self._status.status.parked:
            self._status.say(parked=told)

    # --- the queues ---------------------------------------------------------------------------------------

    def _apply(self) -> None:
        """Take the gate that the governor's word makes: close, commit, acknowledge, give back, open."""
        before, gate = self._gate.power.state, Gate.of(self._watcher.status, self._selected)
        self._gate, self._reconsider = gate, True  # first: nothing begins that it does not allow
        self._close_what_may_not(gate)
        if before != gate.power.state:
            level = logger.info if gate.queues else logger.warning
            level("power %s: %s", gate.power.state, gate.power.reason)
        self._commit()
        back = [each for each in (*self._waiting, *self._parked) if not gate.allows(each.delivery.queue)]
        if back:
            self._waiting = deque(each for each in self._waiting if each not in back)
            self._parked = [each for each in self._parked if each not in back]
            self._give_back(back)
        self._tell_parked()
        self._open_queues()
        self._watch_expiry()
        self._status.say_open(tuple(sorted(gate.queues)), gate.power.state)
        if self._parked:
            self._bell.ring()

    def _close_what_may_not(self, gate: Gate) -> None:
        if self._consumers is not None:
            for queue in self._consumers.queues:
                if not gate.allows(queue):
                    self._consumers.close_queue(queue)

    def _open_queues(self) -> None:
        """Open each queue that may be open, once nothing of it is in hand: a queue with a parked message waits."""
        if self._consumers is None:
            return
        for queue in sorted(self._gate.queues):
            if not self._consumers.prefetch(queue) and not self._settlement.in_hand(queue):
                lasting = self._lasting or self._executor.room == 0
                self._consumers.open(queue, prefetch=ONE if lasting else self._pace.prefetch(queue))

    def _adjust(self) -> None:
        """Between two groups: open what is closed, and ask queues of short jobs for more at a time, or for less."""
        consumers = self._consumers
        if consumers is None or not self._opened:
            return
        self._open_queues()
        now = time.monotonic()
        count = len(self._waiting) >= _BACKLOG and now - self._counted_at >= _COUNT_EVERY_S
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
                self._keep_one(queues=(queue,))

    def _keep_one(self, attempt: Attempt | None = None, *, queues: Iterable[str] | None = None) -> None:
        """Give back what waits behind `attempt`, of `queues` or of all that have more than one message in hand.

        The queues are opened again by `_adjust`.
        """
        consumers = self._consumers
        if consumers is None:
            return
        closed = [queue for queue in queues or consumers.queues if consumers.prefetch(queue) > ONE]
        if not closed:
            return
        for queue in closed:
            consumers.close_queue(queue)
        back = [each for each in self._waiting if each.delivery.queue in closed and each is not attempt]
        self._waiting = deque(each for each in self._waiting if each not in back)
        self._give_back(back)

    def _give_back(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            self._history.give_back(attempt.delivery)
        if attempts:
            logger.debug("%d messages go back to their queues", len(attempts))
        self._settlement.give_back([attempt.delivery for attempt in attempts])

    def _reopen(self) -> None:
        """Ask anew for messages: a disk that was full may have left queues dead, and their consumers wait for ever."""
        if self._consumers is not None and self._opened:
            for queue in self._consumers.queues:
                self._consumers.close_queue(queue)
            self._commit()
            self._open_queues()

    def _watch_expiry(self) -> None:
        """Look again when the governor's word grows too old to count."""
        if self._expiry is not None:
            self._expiry.cancel()
        left_s = self._watcher.expires_in_s
        self._expiry = None if left_s is None else self._later(left_s, self.step)
