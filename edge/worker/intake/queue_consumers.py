"""One AMQP consumer a queue, opened and closed as power comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import Consumer as KombuConsumer
from kombu import Queue

from edge.broker.topology import DEAD, QUEUES

_QUEUES: dict[str, Queue] = {queue.name: queue for queue in (*QUEUES.values(), DEAD)}


class QueueConsumers:
    """Stands where Celery expects the consumer of all its queues; starts with every tap closed."""

    def __init__(self, channel: Any, on_message: Callable[..., None]) -> None:
        #: Celery's loop sets this; messages go to `on_message` of the constructor with their queue's name.
        self.on_message: Any = None
        self.channel = channel
        self._take = on_message
        self._open: dict[str, KombuConsumer] = {}

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues consumed from now."""
        return tuple(sorted(self._open))

    def open(self, queue: str) -> None:
        """Start consuming; returns after the broker said so."""
        if queue in self._open:
            return
        consumer = KombuConsumer(
            self.channel,
            [_QUEUES[queue]],
            auto_declare=False,
            on_message=partial(self._take, queue),
            on_decode_error=partial(self._undecodable, queue),
            accept=["json"],
        )
        self._open[queue] = consumer  # first: a message may come before consume() returns
        consumer.consume()

    def close_tap(self, queue: str) -> None:
        """Stop consuming; after the return nothing more is delivered from `queue`."""
        consumer = self._open.pop(queue, None)
        if consumer is not None:
            consumer.cancel()

    def consume(self) -> None:
        """Nothing: the gate opens the taps."""

    def cancel(self) -> None:
        """Close all taps."""
        for queue in self.queues:
            self.close_tap(queue)

    def close(self) -> None:
        """Close all taps and their channel."""
        self.cancel()
        self.channel.close()

    def _undecodable(self, queue: str, message: Any, error: BaseException) -> None:
        self._take(queue, message, error)
