"""Opens and closes the queues with the power: the one place that decides what this worker may be given.

It starts closed and believes only a governor that lives and has spoken in this boot. A queue is closed before the
running job is acknowledged, for it is the ack that lets the next message in.
"""

from __future__ import annotations

import os
from typing import Any

from amqp.exceptions import AMQPError
from celery import bootsteps
from celery.utils.log import get_logger

from edge.broker.topology import DEAD_NAME, explain, queue_name
from edge.model import ALLOWED, PowerState, PowerStatus
from edge.power import status as power
from edge.worker.intake.steps import Tasks

logger = get_logger(__name__)


class Gate(bootsteps.StartStopStep):  # type: ignore[misc]
    """Bootstep between the tasks and the loop; lives as long as the worker, over all its connections."""

    requires = (Tasks,)
    label = "Gate"

    def __init__(self, c: Any, **kwargs: Any) -> None:
        super().__init__(c, **kwargs)
        c.gate = self
        self._c = c
        self._reader = power.Reader(c.context.config.layout.power)
        self._news = c.context.news
        self._selected = frozenset(c.app.amqp.queues.consume_from)
        self._governor: tuple[int, int] | None = None  # pid and pidfd
        self._hub: Any = None
        self._broken: Any = None  # the taps of a connection that a held body found broken
        self._expiry: Any = None
        self._power = PowerStatus(PowerState.UNKNOWN, "no-governor", "the governor has not spoken yet")
        c.context.inbox.door = self
        c.context.hold.door = self

    # --- the step -----------------------------------------------------------------------------------------

    def start(self, _c: Any) -> None:
        """A new connection: all taps are closed until the loop runs."""

    def stop(self, _c: Any) -> None:
        """The connection ends."""
        self._hub = None

    def terminate(self, c: Any) -> None:
        """The worker ends."""
        self.stop(c)

    def register_with_event_loop(self, _c: Any, hub: Any) -> None:
        """The loop is about to run: watch for changes, and open what may be open."""
        self._hub = hub
        hub.add_reader(self._news.fileno(), self._changed)
        if self._governor is not None:
            hub.add_reader(self._governor[1], self._governor_gone)
        self.refresh()

    # --- what the runner asks -----------------------------------------------------------------------------

    def allows(self, queue: str) -> bool:
        """True while messages of `queue` may start."""
        return queue in self._allowed()

    def refresh(self) -> None:
        """Read the governor's word and act on it; cheap enough for twice a job. Raises what the connection raises."""
        before = self._power.state
        self._news.stale = False
        self._power = self._reader.read()
        self._watch_governor()
        self._watch_expiry()
        context, taps = self._c.context, self._c.task_consumer
        if taps is None or self._hub is None:
            return
        allowed = self._allowed()
        for queue in taps.queues:
            if queue not in allowed:
                taps.close_tap(queue)
        if before != self._power.state:
            level = logger.info if allowed else logger.warning
            level("power %s: %s", self._power.state, self._power.reason)
        context.inbox.give_back(self.allows)
        for queue in sorted(allowed):
            taps.open(queue)
        context.status.say_open(taps.queues, self._power.state)

    def reopen(self) -> None:
        """Ask anew for messages: a disk that was full may have left queues dead, and their consumers wait for ever.

        Raises what the connection raises, which then is made anew.
        """
        taps = self._c.task_consumer
        if taps is not None and self._hub is not None:
            for queue in taps.queues:
                taps.close_tap(queue)
            self.refresh()

    def tend(self) -> None:
        """As `refresh`, from within a body: a connection that broke is left to the loop that comes after it."""
        if self._c.task_consumer is self._broken:
            return
        try:
            self.refresh()
        except (OSError, AMQPError) as err:
            self._broken = self._c.task_consumer
            logger.warning("broker connection lost: %s; connecting again after the job", explain(err))

    @property
    def said(self) -> PowerStatus:
        """The governor's word as it was read last."""
        return self._power

    # --- inside -------------------------------------------------------------------------------------------

    def _allowed(self) -> frozenset[str]:
        names = {queue_name(klass) for klass in ALLOWED[self._power.state]}
        if names:
            names.add(DEAD_NAME)
        return frozenset(names & (self._selected | {DEAD_NAME}))

    def _changed(self) -> None:
        if self._news.look() or self._news.stale:
            self.refresh()
            self._c.context.inbox.reconsider()

    def _governor_gone(self) -> None:
        self._forget_governor()
        self.refresh()

    def _watch_governor(self) -> None:
        """Let the kernel tell when the governor dies: its last word dies with it."""
        pid = self._power.pid if self._power.state is not PowerState.UNKNOWN else 0
        if self._governor is not None and self._governor[0] == pid:
            return
        self._forget_governor()
        if pid:
            try:
                self._governor = (pid, os.pidfd_open(pid))
            except OSError:  # gone since it was read
                self._power = self._reader.read()
                return
            if self._hub is not None:
                self._hub.add_reader(self._governor[1], self._governor_gone)

    def _forget_governor(self) -> None:
        if self._governor is not None:
            if self._hub is not None:
                self._hub.remove(self._governor[1])
            os.close(self._governor[1])
            self._governor = None

    def _watch_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        left_s = power.expires_in(self._power)
        if left_s is not None and self._hub is not None:
            self._expiry = self._hub.call_later(left_s, self.refresh)
