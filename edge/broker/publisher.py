"""Publishes accepted jobs from the ledger to the broker: many at once, and each one is confirmed.

It is a thread of the gateway. When idle, it sleeps in `select` without a timer until `wake` is called or the broker
sends something. A job counts as published when RabbitMQ has confirmed it *and* had a queue for it. In every other case
(connection lost, refused, returned, no answer) the job is published again. So a job may be in the broker twice. That is
harmless, because a worker looks for a result before it runs the job.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum

import msgspec
from amqp.exceptions import AMQPError

from edge.broker import topology
from edge.broker.restart_request import RestartRequest
from edge.broker.routes import Routes
from edge.broker.session import CONFIRM_S, PublishSession
from edge.config import BrokerConfig
from edge.core.backoff import Backoff
from edge.core.errors import ConfigError, StorageError
from edge.core.wakeup import Wakeup
from edge.ledger.reader import READ_BYTES
from edge.ledger.rows import JobRow, MessageKey

log = logging.getLogger(__name__)

_RETRY = Backoff(first_s=0.2, most_s=5.0)
#: After a boot the broker may start later than the gateway: retry faster in this time.
_BOOT_S, _BOOT_RETRY = 120.0, Backoff(first_s=0.2, most_s=0.5)
#: Jobs that arrive within this time are read and published together. The first job after a pause is published at once.
_GATHER_S = 0.01
#: A connection that breaks sooner counts as failed: a damaged broker accepts connections but refuses all jobs.
_WORTH_S = 10.0


class BrokerLinkState(StrEnum):
    """State of the gateway's connection to the broker."""

    DOWN = "down"
    UP = "up"
    BLOCKED = "blocked"  # connected, but the broker accepts nothing because of its memory or disk alarm


class BrokerLink(msgspec.Struct, frozen=True):
    """State of the gateway's connection to the broker, with its reason."""

    state: BrokerLinkState
    reason: str
    since: float  # monotonic seconds at which the state or the reason changed


class Publisher:
    """Runs the publishing thread. The gateway's outbox makes it. Methods may be called from any thread."""

    def __init__(
        self,
        config: BrokerConfig,
        *,
        fetch: Callable[[int, int], list[JobRow]],
        confirmed: Callable[[list[JobRow]], Future[None]],
        reborn: Callable[[], None] = lambda: None,
        claimed: Callable[[], None] = lambda: None,
        changed: Callable[[BrokerLink], None] = lambda _: None,
        complaint: RestartRequest,
        routes: Routes | None = None,
    ) -> None:
        """Make the thread. It calls all callbacks.

        Args:
            config: the settings of the broker.
            fetch: `fetch(after_seq, limit)` returns unconfirmed jobs, oldest first. Raises StorageError.
            confirmed: called with the jobs that the broker has confirmed. The future that it returns is done when the
                ledger has recorded the confirms.
            reborn: called if the broker's store is new or may have lost jobs. Before it returns, it must record durably
                that every open job is to be fetched again.
            claimed: called if the broker's store is marked, which means that a gateway has used it before.
            changed: called with each change of the connection.
            complaint: requests a restart of the broker.
            routes: the queue of each job. Without it, all jobs go to the queues of the pool main.
        """
        self._made_at = time.monotonic()
        self._complaint, self._answer = complaint, b""
        self._config, self._confirmed, self._changed = config, confirmed, changed
        self._feed = _Feed(fetch)
        self._reborn, self._claimed = reborn, claimed
        self.link = BrokerLink(BrokerLinkState.DOWN, "not connected yet", time.monotonic())
        self._wakeup = Wakeup()
        self._woken = False  # `wake` was called, and this thread has not seen it yet
        self._stopping = False
        self._rewind = False
        self._unrecorded: set[MessageKey] = set()  # keys of confirmed messages that the ledger has not recorded yet
        self._routes = routes or Routes()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, and wait up to 10 s for it.

        Unconfirmed jobs stay in the ledger, and are published at the next start.
        """
        self._stopping = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._wakeup.close()

    def wake(self, *, rewind: bool = False) -> None:
        """Wake the thread, because the ledger has jobs to publish.

        Args:
            rewind: read the ledger from its beginning, because an older job must be published again.
        """
        if rewind:
            self._rewind = True
        if not self._woken:
            self._woken = True
            self._wakeup.wake()

    def route(self, routes: Routes) -> None:
        """Use these routes from now on. The thread declares their queues at once, because nodes consume them."""
        self._routes = routes
        self.wake()

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            began, connected = time.monotonic(), False
            try:
                with topology.connection(
                    self._config,
                    timeout_s=CONFIRM_S,
                    on_blocked=lambda reason: self._set(BrokerLinkState.BLOCKED, str(reason)),
                    on_unblocked=lambda: self._set(BrokerLinkState.UP, ""),
                ) as connection:
                    topology.establish(connection)
                    connected = True
                    session = PublishSession(self._config, connection.connection, self._routes)
                    # A broker that was restarted after a full disk may have lost confirmed messages without an error.
                    answer = self._complaint.answer()
                    if topology.store_is_new(connection.connection):
                        self._reborn()
                        topology.mark_store(connection.connection)
                    else:
                        self._claimed()
                        if answer != self._answer:
                            self._reborn()
                    self._answer = answer
                    self._set(BrokerLinkState.UP, "")
                    self._serve(session)
                    return
            except Exception as err:  # any error: without this thread no job is published
                if time.monotonic() - began > _WORTH_S and self.link.state is not BrokerLinkState.DOWN:
                    failures = 0
                reason = topology.explain(err)
                if self.link.state is not BrokerLinkState.DOWN or self.link.reason != reason:  # log each reason once
                    expected = isinstance(err, OSError | AMQPError | ConfigError)
                    address = f"{self._config.host}:{self._config.port}"
                    log.warning("broker at %s: %s", address, reason, exc_info=not expected)
                needs_restart = topology.is_queue_failure if connected else topology.vhost_down
                if needs_restart(err):
                    self._complaint.make(reason)
                self._set(BrokerLinkState.DOWN, reason)
                booting = not connected and time.monotonic() - self._made_at < _BOOT_S
                failures += 1
                self._pause((_BOOT_RETRY if booting else _RETRY).pause_s(failures))

    def _set(self, state: BrokerLinkState, reason: str) -> None:
        if (state, reason) != (self.link.state, self.link.reason):
            self.link = BrokerLink(state, reason, time.monotonic())
            if state is not BrokerLinkState.DOWN:
                log.info("broker is %s%s", state.value, f": {reason}" if reason else "")
            self._changed(self.link)

    def _pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until the thread must stop."""
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._wakeup.wait(left)
            self._clear_wakeups()

    def _clear_wakeups(self) -> None:
        """Clear all wake-ups so far. The ledger must be read after this call, or a job may be missed."""
        self._wakeup.clear()
        self._woken = False

    def _serve(self, session: PublishSession) -> None:
        cursor, more, look_at = 0, True, 0.0
        with selectors.DefaultSelector() as both, selectors.DefaultSelector() as replies:
            both.register(self._wakeup, selectors.EVENT_READ)
            both.register(session.socket, selectors.EVENT_READ)
            replies.register(session.socket, selectors.EVENT_READ)
            while True:
                if self._woken:
                    self._clear_wakeups()
                    more = True
                if self._stopping:
                    return
                if self._routes is not session.routes:
                    session.follow(self._routes)
                if self._rewind:
                    self._rewind, cursor, more, look_at = False, 0, True, 0.0
                up = self.link.state is BrokerLinkState.UP
                gather_s = look_at - time.monotonic()
                if more and up and session.window_left > 0 and not self._feed.wait_s() and gather_s <= 0:
                    window_left = session.window_left
                    jobs = self._feed.read(cursor, window_left)
                    more = (
                        jobs is None
                        or len(jobs) == window_left
                        or sum(len(job.arguments) for job in jobs) >= READ_BYTES
                    )
                    if jobs:
                        session.publish(job for job in jobs if job.message_key not in self._unrecorded)
                        cursor = jobs[-1].seq
                    if jobs and not more:
                        look_at = time.monotonic() + _GATHER_S
                # A blocked broker may delay its confirms for days, so no confirm is overdue then.
                hungry = more and up and session.window_left > 0
                gather_s = look_at - time.monotonic() if hungry else 0.0
                waits = (session.patience(), max(gather_s, self._feed.wait_s()) if hungry else None) if up else ()
                timeout = min((each for each in waits if each is not None), default=None)
                ready = (replies if gather_s > 0 else both).select(timeout)
                if any(key.fileobj is session.socket for key, _ in ready):
                    session.listen()
                if done := session.take_confirmed():
                    self._complaint.withdraw()
                    self._record(done)
                if self.link.state is BrokerLinkState.UP:
                    if not up:
                        session.start_patience()
                    session.check_patience()

    def _record(self, done: list[JobRow]) -> None:
        message_keys = {job.message_key for job in done}
        self._unrecorded |= message_keys
        try:
            self._confirmed(done).add_done_callback(lambda _: self._unrecorded.difference_update(message_keys))
        except StorageError as err:  # the gateway is shutting down: these jobs are published again at the next start
            log.info("%s", err)


class _Feed:
    """Reads the jobs from the ledger. After a disk error it tries again, with growing pauses."""

    def __init__(self, fetch: Callable[[int, int], list[JobRow]]) -> None:
        self._fetch = fetch
        self._failures = 0
        self._again_at = 0.0

    def read(self, after_seq: int, limit: int) -> list[JobRow] | None:
        """Return the next jobs, or None if the ledger cannot be read now."""
        try:
            jobs = self._fetch(after_seq, limit)
        except StorageError as err:
            if not self._failures:  # log the first error only; submitters see the error of their own write
                log.error("%s; no more jobs are published until the ledger can be read", err)
            self._failures += 1
            self._again_at = time.monotonic() + _RETRY.pause_s(self._failures)
            return None
        self._failures = 0
        return jobs

    def wait_s(self) -> float:
        """Return the seconds until the next read; 0 if the last read succeeded."""
        return max(0.0, self._again_at - time.monotonic()) if self._failures else 0.0
