"""The bootstep that declares the queues and makes their consumers. It replaces Celery's step `Tasks`."""

from __future__ import annotations

from typing import Any

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from celery import bootsteps
from celery.worker.consumer.connection import Connection
from kombu.common import QoS

from edge.broker import topology
from edge.core.errors import BrokerError
from edge.worker.intake.queue_consumers import QueueConsumers


class Tasks(bootsteps.StartStopStep):  # type: ignore[misc]
    """Declares the queues and makes their consumers, all closed until the event loop runs. For the main thread."""

    requires = (Connection,)
    label = "Tasks"

    def __init__(self, c: Any, **kwargs: object) -> None:  # `c`: the consumer
        c.task_consumer = c.qos = None
        super().__init__(c, **kwargs)

    def start(self, c: Any) -> None:  # `c`: the consumer
        """Declare the queues on a new connection, and attach the intake to it. Raises BrokerError."""
        channel, selected = c.connection.default_channel, tuple(c.app.amqp.queues.consume_from)
        try:
            topology.declare(channel, more=selected, passive=c.context.config.node.head_url is not None)
        except (NotFound, PreconditionFailed, AccessRefused) as err:
            # A node may not declare queues, or something else declared them differently. The worker waits and tries
            # again, as for a broker that is away.
            raise BrokerError(topology.explain(err)) from err
        c.task_consumer = QueueConsumers(channel, c.context.intake.accept)
        c.context.intake.attach(c.task_consumer, channel, selected)
        c.qos = QoS(lambda **_: None, 1)  # Celery's loop reads it; it never changes

    def register_with_event_loop(self, c: Any, hub: Any) -> None:  # `c`: the consumer
        """Watch the power and open the allowed queues, because the event loop is about to run."""
        hub.add_reader(c.context.watcher.fileno(), c.context.intake.step)
        c.context.intake.open()

    def stop(self, c: Any) -> None:  # `c`: the consumer
        """Stop consuming and give back the messages in hand."""
        if c.task_consumer is not None:
            c.release()

    def shutdown(self, c: Any) -> None:  # `c`: the consumer
        """Stop consuming for good."""
        self.stop(c)
        c.task_consumer = None
