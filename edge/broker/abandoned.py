"""Moves messages out of queues that no worker consumes any more.

If a worker is removed from the configuration, or a kind of job changes its pool, the messages in the old queues would
wait forever. Each message is published to its new queue, confirmed, and only then acknowledged. A power cut in between
leaves two copies, of which a worker runs one. The queues are not deleted, because a Celery client with an old
configuration may still publish to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.broker import topology
from edge.broker.border import Received
from edge.broker.routes import Routes
from edge.config import BrokerConfig

_COUNTED = "x-delivery-count"  # number of deliveries from the old queue; it does not apply to the new one


def move(config: BrokerConfig, queues: Iterable[str], routes: Routes, *, timeout_s: float = 30.0) -> int:
    """Move all messages of `queues` to the queues that `routes` chooses, and return their number. Blocks.

    Args:
        config: the settings of the broker.
        queues: names of the queues to empty.
        routes: chooses the new queue of each message.
        timeout_s: limit of each read and write.

    Raises:
        BrokerError: the broker cannot be reached, or refuses.
    """
    count = 0
    with topology.open_channel(config, timeout_s=timeout_s) as channel:
        topology.declare(channel, more=routes.queues)
        for name in queues:
            topology.queue(name)(channel).queue_declare()
            while (message := channel.basic_get(name)) is not None:
                channel.basic_publish_confirm(message, routing_key=_target(message, name, routes), mandatory=True)
                channel.basic_ack(message.delivery_tag)
                count += 1
    return count


def _target(message: Received, queue: str, routes: Routes) -> str:
    """Return the new queue of a message. A message without a kind goes to a main worker, which ends it as failed."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    headers.pop(_COUNTED, None)
    return routes.queue(str(headers.get("task", "")), topology.class_of(queue))
