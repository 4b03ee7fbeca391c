"""Carries accepted jobs from the ledger to the broker: many at once, each one confirmed.

A thread of the gateway. Idle, it sleeps in `select` until the ledger has news or the broker says something; there
is no timer. A job counts as handed over when RabbitMQ confirmed it *and* had a queue for it; everything else
(connection lost, refused, returned, silent) is published again, so a job may be in the broker twice and the
worker's look for its result makes that harmless.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from enum import StrEnum
from typing import Any

import amqp
import msgspec
from amqp.exceptions import AMQPError

from edge.config import BrokerConfig
from edge.errors import ConfigError, QueueSilent, StorageError
from edge.jobs import broker
from edge.jobs.complaint import Complaint
from edge.jobs.rows import Edition, Job

log = logging.getLogger(__name__)

_WINDOW = 256  # unconfirmed at once: enough to hide the broker's sync, little enough to repeat
_CONFIRM_S = 30.0  # a broker that takes longer has a queue without a leader, or a dying disk
_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_WORTH_S = 10.0  # a link that broke sooner is one more try that failed: a damaged broker takes us in and refuses all


class LinkState(StrEnum):
    """How the gateway stands with the broker."""

    DOWN = "down"
    UP = "up"
    BLOCKED = "blocked"  # connected, but the broker takes nothing: its memory or disk alarm


class Link(msgspec.Struct, frozen=True):
    """State of the link, why, and since when (monotonic seconds)."""

    state: LinkState
    reason: str
    since: float


class Publisher:
    """The thread. `fetch(after_seq, limit)` gives unconfirmed jobs oldest first; `confirmed(jobs)` is told of those
    the broker has, its future is done once the ledger knows; `reborn()` is told that the broker has a store which got
    no job yet, and answers once every open job will be fetched again, power cut or not. All are called in this thread.
    """

    def __init__(
        self,
        config: BrokerConfig,
        *,
        fetch: Callable[[int, int], list[Job]],
        confirmed: Callable[[list[Job]], Future[None]],
        reborn: Callable[[], None] = lambda: None,
        changed: Callable[[Link], None] = lambda _: None,
        complaint: Complaint,
    ) -> None:
        self._complaint = complaint
        self._config, self._fetch, self._confirmed, self._changed = config, fetch, confirmed, changed
        self._reborn = reborn
        self.link = Link(LinkState.DOWN, "not connected yet", time.monotonic())
        self._bell_out, self._bell_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._rewind = False
        self._noted: set[Edition] = set()  # editions confirmed, while the ledger does not know it yet
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is unconfirmed stays in the ledger for the next start."""
        self._stopping = True
        self.ring()
        self._thread.join(timeout=10)

    def ring(self, *, rewind: bool = False) -> None:
        """Say that the ledger has news; `rewind`: also among jobs older than the newest one. From any thread."""
        if rewind:
            self._rewind = True
        with suppress(BlockingIOError):  # the pipe is full of rings already
            os.write(self._bell_in, b"\0")

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            began, connected = time.monotonic(), False
            try:
                with broker.connection(
                    self._config,
                    timeout_s=_CONFIRM_S,
                    on_blocked=lambda reason: self._set(LinkState.BLOCKED, str(reason)),
                    on_unblocked=lambda: self._set(LinkState.UP, ""),
                ) as connection:
                    broker.establish(connection)
                    connected = True
                    session = _Session(self._config, connection.connection)
                    if broker.newborn(connection.connection):
                        self._reborn()
                        broker.mark(connection.connection)
                    self._set(LinkState.UP, "")
                    self._serve(session)
                    return
            except Exception as err:  # whatever it was: without this thread no job goes out
                if time.monotonic() - began > _WORTH_S and self.link.state is not LinkState.DOWN:
                    failures = 0
                if self.link.state is not LinkState.DOWN or failures == 0:
                    foreseen = isinstance(err, OSError | AMQPError | ConfigError)
                    where = f"{self._config.host}:{self._config.port}"
                    log.warning("broker at %s: %s", where, broker.explain(err), exc_info=not foreseen)
                if connected and broker.silent(err):
                    self._complaint.make(broker.explain(err))
                self._set(LinkState.DOWN, broker.explain(err))
                self._pause(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1

    def _set(self, state: LinkState, reason: str) -> None:
        if (state, reason) != (self.link.state, self.link.reason):
            self.link = Link(state, reason, time.monotonic())
            if state is not LinkState.DOWN:
                log.info("broker is %s%s", state.value, f": {reason}" if reason else "")
            self._changed(self.link)

    def _pause(self, seconds: float) -> None:
        """Wait `seconds`, less when asked to stop."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell_out, selectors.EVENT_READ)
            while not self._stopping and (left := deadline - time.monotonic()) > 0:
                if selector.select(left):
                    self._hush()

    def _hush(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._bell_out, 4096):
                pass

    def _serve(self, session: _Session) -> None:
        cursor, more = 0, True
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell_out, selectors.EVENT_READ)
            selector.register(session.socket, selectors.EVENT_READ)
            while not self._stopping:
                if self._rewind:
                    self._rewind, cursor, more = False, 0, True
                if more and self.link.state is LinkState.UP and session.room > 0:
                    jobs = self._news(cursor, session.room)
                    more = bool(jobs)
                    for job in jobs:
                        if job.edition not in self._noted:
                            session.publish(job)
                        cursor = job.seq
                up = self.link.state is LinkState.UP
                # Blocked, the broker owes nothing: it may hold back its confirms for days.
                waits = None if not up else 0.0 if more and session.room > 0 else session.patience()
                for key, _ in selector.select(waits):
                    if key.fd == self._bell_out:
                        self._hush()
                        more = True
                session.listen()
                if done := session.take_confirmed():
                    self._complaint.withdraw()
                    self._note(done)
                if self.link.state is LinkState.UP:
                    if not up:
                        session.start_patience()
                    session.check_patience()

    def _note(self, done: list[Job]) -> None:
        editions = {job.edition for job in done}
        self._noted |= editions
        try:
            self._confirmed(done).add_done_callback(lambda _: self._noted.difference_update(editions))
        except StorageError as err:  # the gateway is shutting down: they are published once more at the next start
            log.info("%s", err)

    def _news(self, cursor: int, room: int) -> list[Job]:
        try:
            return self._fetch(cursor, room)
        except StorageError as err:  # the card is failing; the writer says so to the submitters
            log.error("%s", err)
            return []


class _Session:
    """One channel in confirm mode: what was published on it and what came back."""

    def __init__(self, config: BrokerConfig, connection: amqp.Connection) -> None:
        self._connection = connection
        channel = connection.channel()
        broker.declare(channel)
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._channel = channel
        self._tag = 0
        self._flying: dict[int, tuple[Job, float]] = {}
        self._flying_editions: set[Edition] = set()
        self._done: list[Job] = []
        self._origin = f"gateway@{config.host}"
        self.socket = connection.sock

    @property
    def room(self) -> int:
        """How many more may be published before confirms are owed."""
        return _WINDOW - len(self._flying)

    def publish(self, job: Job) -> None:
        """Send one job; its confirm comes later."""
        if job.edition in self._flying_editions:
            return
        body, headers, properties = message(job, origin=self._origin)
        self._channel.basic_publish(
            amqp.Message(body, application_headers=headers, **properties),
            exchange="",
            routing_key=broker.queue_name(job.power),
            mandatory=True,
        )
        self._tag += 1
        self._flying[self._tag] = (msgspec.structs.replace(job, arguments=b""), time.monotonic())
        self._flying_editions.add(job.edition)

    def listen(self) -> None:
        """Take in all the broker has said."""
        try:
            while True:
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            return
        except OSError as err:
            if err.errno is None or "timed out" not in str(err):
                raise

    def take_confirmed(self) -> list[Job]:
        """Jobs confirmed since the last call."""
        done, self._done = self._done, []
        return done

    def patience(self) -> float | None:
        """Seconds until the oldest unconfirmed publish is overdue; None: nothing is owed, sleep on."""
        if not self._flying:
            return None
        _, sent = next(iter(self._flying.values()))
        return max(0.0, sent + _CONFIRM_S - time.monotonic())

    def start_patience(self) -> None:
        """Count the time of all that is unconfirmed from now."""
        now = time.monotonic()
        self._flying = {tag: (job, now) for tag, (job, _) in self._flying.items()}

    def check_patience(self) -> None:
        """Raises BrokerError when the broker owes a confirm for too long."""
        if self.patience() == 0.0:
            raise QueueSilent(f"{len(self._flying)} publishes not confirmed in {_CONFIRM_S:g} s")

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for each in [t for t in self._flying if t <= tag] if multiple else [tag]:
            job, _ = self._flying.pop(each)
            self._flying_editions.discard(job.edition)
            self._done.append(job)

    def _on_nack(self, _tag: int, _multiple: bool) -> None:
        raise QueueSilent("it refused a job (queue over its limit, or without a leader)")

    def _on_return(self, exc: Exception, _exchange: str, routing_key: str, _message: Any) -> None:
        raise QueueSilent(f"queue {routing_key} is gone: {exc}")


def message(job: Job, *, origin: str) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Body, headers and properties of `job` as Celery's protocol 2 has them, with what the worker needs to know."""
    args, kwargs = job.call()
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers = {
        "lang": "py",
        "task": job.task,
        "id": job.id,
        "root_id": job.id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": repr(args)[:200],
        "kwargsrepr": repr(kwargs)[:200],
        "origin": origin,
        "edge": {
            "failures": job.failures,
            "retries": job.retries,
            "time_limit_s": job.time_limit_s,
            "max_temp_c": job.max_temp_c,
            "submitter": job.submitter,
        },
    }
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": job.id,
    }
    return msgspec.json.encode([args, kwargs, embed]), headers, properties
