"""Celery's consumer with only the steps that this worker needs. It waits for the broker without a time limit."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from amqp.exceptions import AMQPError
from celery import bootsteps
from celery.utils.log import get_logger
from celery.utils.threads import bound_open_broker_sockets
from celery.worker import consumer as celery_consumer
from celery.worker.state import maybe_shutdown
from kombu import Connection
from kombu.asynchronous import Hub
from kombu.common import ignore_errors

from edge.broker.refusal import cure
from edge.broker.restart_request import RestartRequest
from edge.broker.topology import explain, is_queue_failure, vhost_down
from edge.core.backoff import Backoff
from edge.core.errors import BrokerError
from edge.model import WorkerState
from edge.worker.context import WorkerContext

logger = get_logger(__name__)

#: Time limit for each answer of the broker. A queue without a leader would otherwise block the worker forever.
ANSWER_S = 30.0
#: Pauses between two tries to connect.
RETRY = Backoff(first_s=0.5, most_s=5.0)
#: A connection that breaks sooner than this counts as a failed try, because a broker with a damaged store accepts
#: connections and then refuses everything.
WORTH_S = 10.0


class Program(Protocol):
    """The part of the worker program that the consumer uses."""

    context: WorkerContext
    hub: Hub


class Consumer(celery_consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer with the steps Connection, Tasks and loop. Belongs to the main thread.

    It leaves out Celery's steps for events, gossip, mingle, heart, control and delayed delivery.
    """

    event_dispatcher = None
    gossip = None
    pidbox = None

    class Blueprint(bootsteps.Blueprint):  # type: ignore[misc]
        """The steps of the consumer."""

        name = "Consumer"
        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "edge.worker.intake.steps:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

        def shutdown(self, parent: object) -> None:
            """Stop all steps, in reverse order of their start."""
            self.send_all(parent, "shutdown")

    connection: Connection | None = None

    def __init__(self, *args: object, controller: Program, **kwargs: object) -> None:
        self.context = controller.context
        self._restart_request = RestartRequest(self.context.config.layout, f"worker-{self.context.name}")
        self._tries = 0
        self._connected_at = 0.0
        self._logged = ""  # the last reason for a missing connection that was logged
        self._refused = ""  # why the broker refuses this worker, as written to the status
        # A child that a body forks may outlive this worker. If it kept the socket, the broker would keep the consumers
        # of the dead worker and deliver jobs to them.
        os.register_at_fork(after_in_child=self._close_in_child)
        super().__init__(*args, controller=controller, **kwargs)
        # After five connections within a second Celery logs a traceback and sleeps 1 s. `RETRY` replaces that.
        self._restart_state = _Unlimited()

    def create_task_handler(self, promise: object = None) -> Callable[..., None]:  # noqa: ARG002
        """Return a handler, because Celery's loop needs one. `QueueConsumers` does not use it: it knows the queue."""
        return self.context.intake.accept

    def register_with_event_loop(self, hub: Hub) -> None:
        """Register the steps, and the wakeup by which signal handlers and threads wake the loop."""
        hub.add_reader(self.context.wakeup.fileno(), self._woken)
        super().register_with_event_loop(hub)  # opens the consumers
        self._restart_request.withdraw()
        if self._refused and self.context.status.status.reason == self._refused:
            self.context.status.update(reason="")
        self._logged = self._refused = ""

    def _report(self, text: str, err: BaseException) -> None:
        """Log why there is no connection, each reason once. A refusal goes to the status too: a person must act."""
        if text != self._logged:
            self._logged = text
            logger.error("%s; trying again until it works", text)
        if cure(err) or isinstance(err, BrokerError):
            self._refused = f"the broker refuses this worker: {explain(err)}"
            self.context.status.update(reason=self._refused)

    def release(self) -> None:
        """Give all messages back, because the worker ends. A broker that does not answer gets no second question.

        The broker takes back the messages of a connection that is closed without a word.
        """
        connection = self.connection
        if connection is None:
            return
        try:
            self.context.intake.release()
        except (*self.connection_errors, *self.channel_errors) as err:
            logger.warning("the broker did not take the messages back: %s; its connection is closed", explain(err))
            connection.collect()
            self.context.intake.connection_lost()

    def _woken(self) -> None:
        self.context.wakeup.clear()
        self.context.intake.step()

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect. It tries without a limit, at most five seconds apart, until the worker must stop."""
        if self._tries:
            self._wait()
        while True:
            maybe_shutdown()
            try:
                conn.connect()
                break
            except (OSError, AMQPError) as err:
                self._report(f"no broker at {conn.as_uri()}: {explain(err)}", err)
                self.context.status.update(state=WorkerState.DISCONNECTED, queues=())
                if vhost_down(err):
                    self._restart_request.make(explain(err))
                self._wait()
        self.first_connection_attempt = False
        self._connected_at = time.monotonic()
        bound_open_broker_sockets(conn, ANSWER_S)
        return conn

    @property
    def _pause_s(self) -> float:
        return RETRY.pause_s(self._tries + 1)

    def _wait(self) -> None:
        pause_s = self._pause_s
        # The longest pause may be repeated for days, so only the shorter ones are logged.
        logger.log(logging.INFO if pause_s < RETRY.most_s else logging.DEBUG, "trying again in %g s", pause_s)
        self.context.wait(pause_s)
        self._tries += 1
        maybe_shutdown()
        self.context.wakeup.clear()

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Handle a connection that broke during its set-up."""
        self._report(f"broker connection failed: {explain(exc)}", exc)
        self._drop(exc)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Drop a broken connection and its messages. The broker delivers them again."""
        if isinstance(exc, BrokerError):  # the set-up failed
            self._report(f"broker connection failed: {explain(exc)}", exc)
        else:
            logger.warning("broker connection lost: %s; connecting again", explain(exc))
        self._drop(exc)

    def _close_in_child(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None and connection.connected:
            with suppress(OSError):
                os.close(connection.connection.transport.sock.detach())

    def _drop(self, exc: BaseException) -> None:
        if is_queue_failure(exc):
            self._restart_request.make(explain(exc))
        self._tries = 0 if time.monotonic() - self._connected_at > WORTH_S else self._tries + 1
        self.context.intake.connection_lost()
        self.context.status.update(state=WorkerState.DISCONNECTED, queues=())
        self.task_consumer = None
        connection, self.connection = self.connection, None
        if connection is not None:
            ignore_errors(connection, connection.collect)
            ignore_errors(connection, connection.close)


class _Unlimited:
    """Replaces Celery's limit on connections per second."""

    def step(self) -> None:
        """Do nothing: the back-off of the consumer limits the rate."""
