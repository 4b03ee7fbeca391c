"""Consumes messages while power allows it, runs them, and acknowledges them or gives them back.

The intake keeps a window of messages in hand, so that short jobs become durable and are acknowledged together. No other
worker can run a message that is in hand here. So before a body that may take long, and at a pause, the intake commits
and acknowledges the jobs that have ended, and gives the other messages back.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from celery.utils.log import get_logger

from edge.broker.border import Message
from edge.broker.topology import CONNECTION_ERRORS, explain
from edge.core.wakeup import Wakeup
from edge.model import WaitReason
from edge.worker.attempt import delivery as deliveries
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.executor import Executor
from edge.worker.flow.flow import Flow
from edge.worker.flow.late_acks import WAIT_S, LateAcks
from edge.worker.flow.settlement import Channel, Settlement
from edge.worker.intake.pace import Pace
from edge.worker.intake.subscriptions import Consumers, Subscriptions
from edge.worker.intake.window import Window
from edge.worker.power.feasibility import KindAverages
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control
from edge.worker.process.retirement import Retirement
from edge.worker.process.status import StatusFile

logger = get_logger(__name__)

#: Time for which the message of a later retry is parked while the attempt before it still runs here.
_COPY_S = 1.0
#: Time limit for each answer of the broker while this worker ends. systemd kills a worker that needs longer than its
#: grace time and 60 s, and the broker takes back the messages of a closed connection without any question.
_PARTING_S = 5.0
#: Fewest waiting messages that count as a backlog.
_BACKLOG = 2


class Timer(Protocol):
    """A pending call of the event loop."""

    def cancel(self) -> None:
        """Cancel the call."""


class Intake:
    """Runs messages one after another. Belongs to the main thread, except `reconsider`."""

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
        wakeup: Wakeup,
        later: Callable[[float, Callable[[], None]], Timer],
        on_empty: Callable[[], None] = lambda: None,
        retirement: Retirement | None = None,
        yields: bool = False,
    ) -> None:
        """Make an intake without a connection.

        `wakeup` makes the event loop call `step`. `later(delay_s, call)` schedules a call of the event loop.

        With `yields` no queue stays open while a body takes long. The other jobs are for another worker, which the
        governor starts for that.

        `on_empty` is called when the worker stops and the last body in another thread has ended, and when the worker
        has retired.
        """
        self._watcher = watcher
        self._flow, self._executor = flow, executor
        self._settlement, self._pace = settlement, pace
        self._averages, self._history = averages, history
        self._retirement, self._yields = retirement, yields
        self._control, self._status = control, status
        self._wakeup, self._later = wakeup, later
        self._window = Window(settlement=settlement, history=history, status=status)
        # The messages of bodies in threads are in hand for long, and must not keep their queue closed.
        in_hand = self._window.of_queue if executor.in_threads else settlement.in_hand
        self._subscriptions = Subscriptions(pace=pace, in_hand=in_hand)
        self._on_empty = on_empty
        self._seen: set[str] = set()  # queues that have delivered over this connection
        self._reconsider = False
        self._opened = False  # the event loop runs, so queues may be opened
        self._lasting = False  # a body that may take long begins or runs
        self._broken = False  # the connection broke during a body; the event loop reconnects after it
        self._expiry: Timer | None = None
        self._late = LateAcks()
        self._late_timer: Timer | None = None
        self._due_at: float | None = None  # time of the next call of `step` for a body for which something comes due

    # --- the connection -----------------------------------------------------------------------------------

    def attach(self, consumers: Consumers, channel: Channel, selected: Iterable[str]) -> None:
        """Use a new connection. Its consumers stay closed until `open`; `selected` are the queues of this worker."""
        self._settlement.attach(channel)
        self._subscriptions.attach(consumers, selected)
        self._opened, self._broken = False, False
        self._seen.clear()

    def open(self) -> None:
        """Open the allowed queues, because the event loop is about to run. Raises any error of the connection."""
        self._opened = True
        self._watcher.look()
        self._apply()
        self._wakeup.wake()

    def connection_lost(self) -> None:
        """Commit the jobs that have ended, and forget the messages of the lost connection.

        The broker delivers the messages again. Blocked attempts stay. Their messages find the results when they come
        again.
        """
        self._subscriptions.detach()
        self._flow.commit()
        self._late.take()  # their messages come again and find the results
        if self._late_timer is not None:
            self._late_timer.cancel()
            self._late_timer = None
        self._settlement.detach()
        self._window.clear()

    def release(self) -> None:
        """Close all queues, acknowledge the jobs that have ended, and give all other messages back: the worker ends.

        Raises any error of the connection.
        """
        if not self._subscriptions.attached:
            return
        self._subscriptions.close_all(answer_s=_PARTING_S)
        self._commit()
        self._settlement.give_back_all()
        self.connection_lost()

    def accept(self, queue: str, message: Message, error: BaseException | None = None) -> None:
        """Add a message to the window. It does not run here, inside a read of the connection, but in a later `step`."""
        delivery = deliveries.read(message, queue, error, first_in_queue=queue not in self._seen)
        self._seen.add(queue)
        if not self._window:
            self._wakeup.wake()
        self._window.add(delivery)

    # --- called by the event loop ------------------------------------------------------------------------------

    def step(self) -> None:
        """Run messages until a group is full, none is left, or power falls. Raises any error of the connection."""
        self.refresh()
        for ended in self._executor.ended():
            self._flow.advance(ended, self._subscriptions.gate.power)
            if self._flow.batch.due():
                self._commit()
        self._unpark()
        while self._may_begin() and (attempt := self._next()) is not None and self._admits(attempt):
            short = self._begin(attempt)
            self.refresh()
            if not short or self._flow.batch.due():
                break
        self._commit(may_wait=True)
        self._call_when_due()
        if self._control.stopping:
            self._drain()
            return
        if self._retires():
            self._retire()
            return
        # `_commit` may have closed queues because power fell. Take the new gate first: `_adjust` would open them again.
        self.refresh()
        self._adjust()
        if (first := self._window.first()) is not None and self._may_begin() and self._admits(first):
            self._wakeup.wake()

    def serve_bodies(self) -> None:
        """Apply the power report to bodies in threads, and commit those that ended, while there is no connection.

        Their messages come again over the next connection and find the results.
        """
        self._watcher.look()
        power = self._watcher.status
        self._executor.apply_power(power)
        for ended in self._executor.ended():
            self._flow.advance(ended, power)
        self._flow.commit()
        if self._control.stopping and not self._executor.busy:
            self._on_empty()

    def refresh(self) -> None:
        """Apply a changed power report. An unchanged one costs one system call. Raises any error of the connection."""
        self._watcher.look()
        while self._is_stale() and self._subscriptions.attached and self._opened:
            self._apply()
            self._watcher.look()  # closing a queue takes some time, in which power may change again

    def reconsider(self) -> None:
        """Try the parked jobs again in the next `step`. Callable from any thread."""
        if self._window.parked:
            self._reconsider = True
            self._wakeup.wake()

    def commit_and_give_back(self) -> None:
        """Commit the jobs that have ended and give back the waiting messages, while a body takes long or is held.

        Called while the body runs, also in a signal handler. If the connection breaks here, the event loop handles it
        after the body.
        """
        if self._broken or not self._subscriptions.attached:
            return
        try:
            self.refresh()
            self._commit()
            if self._yields:
                self._subscriptions.close_all()
                self._window.give_back(lambda _: True, parked=False)
            else:
                self._keep_one()
        except CONNECTION_ERRORS as err:
            self._broken = True
            logger.warning("broker connection lost: %s; connecting again after the job", explain(err))

    def retry(self) -> None:
        """Try the blocked attempts again. Raises any error of the connection."""
        if self._control.stopping:
            return
        begins: list[Attempt] = []
        for attempt in self._flow.blocked.take():
            if not self._flow.resume(attempt, self._subscriptions.gate.power):
                continue
            if any(self._settlement.holds(delivery) for delivery in attempt.deliveries):
                begins.append(attempt)  # its body begins in the next step, if power allows it then
            else:
                self._history.give_back(attempt.delivery)  # its message comes again
        self._window.put_first(begins)
        self._commit()
        if self._flow.blocked:
            return
        self._status.update(reason="")
        self.step()
        if not self._flow.blocked:
            self._reopen()

    @property
    def blocked(self) -> bool:
        """True while an attempt waits for the disk, or for the head."""
        return bool(self._flow.blocked)

    # --- one message --------------------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        return not (self._control.stopping or self._flow.blocked or self._retires()) and self._executor.free_slots > 0

    def _admits(self, attempt: Attempt) -> bool:
        """Return True if the body of `attempt` may begin while the others run."""
        if not self._executor.in_threads or self._executor.runs(attempt.id):
            return True
        try:
            parallel_limit = self._history.parallel_limit(attempt.delivery)
        except OSError:  # unknown, so the body begins alone; its admission handles the disk error
            parallel_limit = 1
        return self._executor.admits(parallel_limit)

    def _next(self) -> Attempt | None:
        """Return the next attempt, or None. Reads from the connection only if no message waits in the window."""
        if not self._window:
            self._subscriptions.read()
        return self._window.first()

    def _begin(self, attempt: Attempt) -> bool:
        """Begin an attempt in hand. Return False if its body may have taken long."""
        delivery = attempt.delivery
        if self._executor.runs(delivery.id):
            self._begin_copy(attempt)
            return True
        # In a worker of threads nothing waits for the end of this body.
        short = self._executor.in_threads or self._averages.is_short(delivery.task)
        # A body that may have begun before may crash this process. So the jobs that have ended are committed first, and
        # their bodies need not run again. A job whose copy is in the batch must have its result first, too.
        alone = not short or self._history.unsure(delivery) or delivery.id in self._flow.batch
        next_s = 0.0 if self._executor.in_threads else self._averages.mean_s(delivery.task)
        if alone or self._flow.batch.due(next_s=next_s):
            self._commit()
        self._pace.began(delivery.queue, short=short)
        self._lasting = not short
        try:
            if not short:
                self._keep_one(attempt)
            self.refresh()  # power may have fallen meanwhile, and then the body must not begin
            if not self._settlement.holds(delivery):
                return True  # `refresh` gave it back
            self._window.remove(attempt)
            if not self._subscriptions.gate.allows(delivery.queue):
                self._window.return_to_queues([attempt])
                return True
            self._flow.advance(attempt, self._subscriptions.gate.power)
        finally:
            self._lasting = False
        if attempt.begins and attempt.parked is not None:
            self._park(attempt)
        return short

    def _begin_copy(self, attempt: Attempt) -> None:
        """Handle a copy of the message of a job that runs here. No second body begins."""
        self._window.remove(attempt)
        if not self._executor.join(attempt.delivery):
            why = WaitReason(0.0, "another attempt at the job still runs", until="it has ended")
            attempt.park(why, not_before=time.monotonic() + _COPY_S)
            self._park(attempt)

    def _commit(self, *, may_wait: bool = False) -> None:
        """Make the jobs that have ended durable, and acknowledge them.

        With `may_wait` a single acknowledgement may wait for others. Consumers that power no longer allows are closed
        first, because an acknowledgement makes the broker deliver more.
        """
        done = self._flow.commit()
        self._late.add(done)
        if not self._late:
            return
        self._watcher.look()
        if self._is_stale():
            self._subscriptions.close_forbidden(self._watcher.status)
        alone = len(done) == 1  # several are acknowledged together anyway
        if (
            may_wait
            and alone
            and not self._late.due
            and self._subscriptions.have_more_to_come(self._settlement.in_hand)
        ):
            if self._late_timer is None:
                self._late_timer = self._later(WAIT_S, self._acknowledge_late)
            return
        self._settlement.acknowledge(self._late.take())

    def _acknowledge_late(self) -> None:
        """Acknowledge the deliveries that have waited long enough. Raises any error of the connection."""
        self._late_timer = None
        self.step()

    # --- parked -------------------------------------------------------------------------------------------

    def _park(self, attempt: Attempt) -> None:
        """Keep a message that may not begin yet. Others of its queue go back, so that another worker can run them."""
        self._window.park(attempt)
        if attempt.not_before:
            self._later(max(attempt.not_before - time.monotonic(), 0.0), self.reconsider)
        self._keep_one(queues=(attempt.delivery.queue,))
        self._window.report_parked()

    def _unpark(self) -> None:
        """Try the parked attempts again, if something has changed."""
        if not self._window.parked or not self._reconsider:
            return
        self._reconsider = False
        for attempt in self._window.parked:
            if attempt not in self._window.parked or attempt.not_before > time.monotonic():
                continue
            if self._may_begin() and self._admits(attempt):
                self._begin(attempt)
            else:
                self._reconsider = True  # try again after a body in a thread has ended
        self._commit()
        self._window.report_parked()

    # --- the queues ---------------------------------------------------------------------------------------

    def _is_stale(self) -> bool:
        """Return True if the watcher has a newer report than the gate."""
        return self._watcher.status is not self._subscriptions.gate.power

    def _apply(self) -> None:
        """Apply the watcher's report: close queues, commit, acknowledge, give messages back, open queues."""
        self._executor.apply_power(self._watcher.status)
        before = self._subscriptions.gate.power.state
        self._reconsider = True
        gate = self._subscriptions.change_gate(self._watcher.status)  # before the rest: no forbidden job may begin
        if before != gate.power.state:
            level = logger.info if gate.queues else logger.warning
            level("power %s: %s", gate.power.state, gate.power.reason)
        self._commit()
        self._window.give_back(lambda attempt: not gate.allows(attempt.delivery.queue), parked=True)
        self._window.report_parked()
        self._open_allowed()
        self._watch_expiry()
        self._status.update_queues(tuple(sorted(gate.queues)), gate.power.state)
        if self._window.parked:
            self._wakeup.wake()

    def _open_allowed(self) -> None:
        """Open each allowed queue. Its prefetch is 1 while a long body runs."""
        self._subscriptions.open_allowed(
            one=self._lasting or (self._executor.free_slots == 0 and not self._executor.in_threads)
        )

    def _adjust(self) -> None:
        """Open closed queues and adapt the prefetch of the others. Called between two groups."""
        if not self._opened:
            return
        self._open_allowed()
        if too_much := self._subscriptions.adjust(backlog=len(self._window) >= _BACKLOG):
            self._keep_one(queues=too_much)

    def _keep_one(self, attempt: Attempt | None = None, *, queues: Iterable[str] | None = None) -> None:
        """Close the queues with a prefetch above 1, and give back their waiting messages, except that of `attempt`.

        If `queues` is set, only these queues are closed. `_adjust` opens them again.
        """
        if closed := self._subscriptions.close_windows(queues):
            self._window.give_back(lambda each: each.delivery.queue in closed and each is not attempt, parked=False)

    def _reopen(self) -> None:
        """Close and open all queues. After a full disk a queue may be dead, and its consumer would wait forever."""
        if self._opened:
            self._subscriptions.close_all()
            self._commit()
            self._open_allowed()

    def _drain(self) -> None:
        """Give all messages back and wait for the bodies in threads, because the worker stops."""
        if not self._executor.in_threads:
            return
        self._subscriptions.close_all(answer_s=_PARTING_S)
        self._window.give_back(lambda _: True, parked=True)
        if not self._executor.busy:
            self._on_empty()

    def _retires(self) -> bool:
        return self._retirement is not None and self._retirement.due

    def _retire(self) -> None:
        """Give all messages back, and end the worker once no body runs and no attempt is blocked."""
        self._subscriptions.close_all(answer_s=_PARTING_S)
        self._commit()
        self._window.give_back(lambda _: True, parked=True)
        self._window.report_parked()
        if not self._executor.busy and not self._flow.blocked:
            self._on_empty()

    def _call_when_due(self) -> None:
        """Schedule a `step` for the time when something comes due for a body."""
        due_s = self._executor.due_in_s()
        if due_s is None:
            return
        due_at = time.monotonic() + due_s
        if self._due_at is None or due_at < self._due_at:
            self._due_at = due_at
            self._later(due_s, functools.partial(self._due, due_at))

    def _due(self, due_at: float) -> None:
        if self._due_at == due_at:
            self._due_at = None
        self._wakeup.wake()

    def _watch_expiry(self) -> None:
        """Schedule a `step` for the time when the governor's report is too old to count."""
        if self._expiry is not None:
            self._expiry.cancel()
        left_s = self._watcher.expires_in_s
        self._expiry = None if left_s is None else self._later(left_s, self.step)
