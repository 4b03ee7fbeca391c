"""Opens and closes one AMQP consumer for each queue, as power changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu import Consumer as KombuConsumer

from edge.broker import topology
from edge.broker.border import Message


# `Any`: a connection of py-amqp. This uses more of it than the protocol `Link` has.
def read_frames(connection: Any) -> None:
    """Handle the frames that have arrived on a connection, without waiting for more.

    The event loop calls it when the socket is readable. Kombu's own reader needs a turn of the loop, and two changes of
    the socket's timeout, for each frame. A message has three frames, and a turn without a frame ends its reading.

    Raises:
        RecoverableConnectionError: the connection is closed.
    """
    transport = connection.transport if connection is not None else None
    if transport is None:  # py-amqp drops connection and transport when the broker has closed the connection
        raise RecoverableConnectionError("the broker has closed the connection")
    with suppress(TimeoutError), transport.having_timeout(0):
        while True:
            connection.on_inbound_frame(transport.read_frame())


class QueueConsumers:
    """The consumers of one connection, all closed at first. Celery uses it as its consumer of all queues.

    Belongs to the main thread. All methods raise any error of the connection.
    """

    # `Any`: a channel of py-amqp. kombu and `read` use more of it than the protocol `Channel` has.
    def __init__(self, channel: Any, on_message: Callable[..., None]) -> None:
        #: Set by Celery's loop, not used. Messages go to the constructor's `on_message` with the name of their queue.
        self.on_message: Callable[..., None] | None = None
        self.channel = channel
        self._take = on_message
        self._open: dict[str, tuple[KombuConsumer, int]] = {}

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues that are consumed now."""
        return tuple(sorted(self._open))

    def prefetch(self, queue: str) -> int:
        """Return the prefetch of `queue`, or 0 while it is closed."""
        return self._open[queue][1] if queue in self._open else 0

    def open(self, queue: str, *, prefetch: int) -> None:
        """Start consuming `queue`. Returns after the broker's confirmation."""
        if queue in self._open:
            return
        self.channel.basic_qos(0, prefetch, False)  # holds for consumers that are made after it
        consumer = KombuConsumer(
            self.channel,
            [topology.queue(queue)],
            auto_declare=False,
            on_message=partial(self._take, queue),
            on_decode_error=partial(self._undecodable, queue),
            accept=["json"],
        )
        self._open[queue] = consumer, prefetch  # before consume(): a message may come before it returns
        consumer.consume()

    def close_queue(self, queue: str) -> None:
        """Stop consuming `queue`. After the return nothing more is delivered from it."""
        consumer, _ = self._open.pop(queue, (None, 0))
        if consumer is not None:
            consumer.cancel()

    def count(self, queue: str) -> int:
        """Return how many consumers the queue has, on all boards."""
        return int(self.channel.queue_declare(queue=queue, passive=True).consumer_count)

    def limit_answers(self, seconds: float) -> None:
        """Set the time limit for each answer of the broker from now on."""
        connection = self.channel.connection
        if connection is not None and connection.transport is not None:
            connection.transport.sock.settimeout(seconds)

    def read(self) -> None:
        """Read the frames that have arrived on the connection, without waiting for more.

        Raises RecoverableConnectionError.
        """
        read_frames(self.channel.connection)

    def consume(self) -> None:
        """Do nothing: the intake opens the consumers."""

    def cancel(self) -> None:
        """Close all consumers."""
        for queue in self.queues:
            self.close_queue(queue)

    def close(self) -> None:
        """Close all consumers and their channel."""
        self.cancel()
        self.channel.close()

    def _undecodable(self, queue: str, message: Message, error: BaseException) -> None:
        self._take(queue, message, error)
