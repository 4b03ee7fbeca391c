"""Moves messages out of queues that no worker consumes any more.

When a worker leaves the configuration, or a kind of job changes its pool, the messages in its queues would wait for
ever. Each message is published to its new queue, confirmed, and only then acknowledged. A power cut in between leaves
two copies, of which a worker runs one. The queues are kept, because a Celery client with an old configuration may still
publish to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.broker import topology
from edge.broker.border import Received
from edge.broker.routes import Routes
from edge.config import BrokerConfig

_COUNTED = "x-delivery-count"  # counts deliveries from the old queue


def move(config: BrokerConfig, queues: Iterable[str], routes: Routes, *, timeout_s: float = 30.0) -> int:
    """Move all messages of `queues` to where `routes` sends them; return how many. Blocks. Raises BrokerError."""
    count = 0
    with topology.reached(config, timeout_s=timeout_s) as channel:
        topology.declare(channel, more=routes.queues)
        for name in queues:
            topology.queue(name)(channel).queue_declare()
            while (message := channel.basic_get(name)) is not None:
                channel.basic_publish_confirm(message, routing_key=_target(message, name, routes), mandatory=True)
                channel.basic_ack(message.delivery_tag)
                count += 1
    return count


def _target(message: Received, queue: str, routes: Routes) -> str:
    """Return the queue for a message. A message without a kind goes to a main worker, which ends it with a failure."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    headers.pop(_COUNTED, None)
    return routes.queue(str(headers.get("task", "")), topology.class_of(queue))
