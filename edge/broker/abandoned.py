"""Moves what lies in queues that no worker takes any more to where it belongs now.

A worker was taken out of the configuration, or a kind of job changed its pool: what is in its queues would wait for
ever. Each message is published anew, confirmed, and only then acknowledged: a cut between leaves two, of which the
worker runs one. The queues stay: a Celery client that has not heard of the change may still publish to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.broker import topology
from edge.broker.border import Received
from edge.broker.routes import Routes
from edge.config import BrokerConfig

_COUNTED = "x-delivery-count"  # of the queue it was in


def move(config: BrokerConfig, queues: Iterable[str], routes: Routes, *, timeout_s: float = 30.0) -> int:
    """Empty `queues` into those that `routes` says; how many messages were moved. Raises BrokerError."""
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
    """Where a message belongs. One that names no kind goes to a main worker, which ends it."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    headers.pop(_COUNTED, None)
    return routes.queue(str(headers.get("task", "")), topology.class_of(queue))
