"""Types for the parts of py-amqp and kombu that we use. Neither ships types, so `Any` ends here.

The stubs of `celery-types` cover Celery's documented interface. They lack or contradict much of the internals that this
worker uses (a channel's events, the hub, the steps), so more lines would need an exemption than would be typed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, MutableMapping, MutableSet
from typing import Protocol

#: Called by py-amqp with the fields of an AMQP method, whose number and kinds depend on the event.
Listener = Callable[..., None]


class QueueState(Protocol):
    """The broker's answer to a declare."""

    message_count: int
    consumer_count: int


class Received(Protocol):
    """A message from `basic_get`."""

    delivery_tag: int
    headers: Mapping[str, object] | None


class Message(Protocol):
    """A message that the broker delivered. Its parts come from outside, so none of them can be trusted."""

    headers: object
    properties: object
    body: bytes | str | memoryview | None
    delivery_info: object
    delivery_tag: int

    def decode(self) -> object:
        """The body as its content type says; raises whatever the decoder does."""


class Channel(Protocol):
    """One channel of a connection."""

    connection: Link
    channel_id: int

    @property
    def events(self) -> MutableMapping[str, MutableSet[Listener]]:
        """What is called at `basic_ack`, `basic_nack` and `basic_return`."""

    def close(self) -> None:
        """Close it."""

    def confirm_select(self) -> None:
        """Ask for a confirm of each publish from now on."""

    def exchange_declare(
        self,
        exchange: str,
        type: str,  # noqa: A002 - py-amqp's name
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
    ) -> None:
        """Make an exchange; `passive` only looks, and raises NotFound."""

    def queue_declare(
        self,
        queue: str,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: Mapping[str, object] | None = None,
    ) -> QueueState:
        """Make a queue; `passive` only looks, and raises NotFound."""

    def queue_delete(self, queue: str) -> None:
        """Remove a queue with its messages."""

    def queue_purge(self, queue: str) -> int:
        """Remove the messages of a queue; how many there were."""

    def basic_get(self, queue: str, no_ack: bool = False) -> Received | None:
        """The first message of a queue, if it has one."""

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge a message, or it and all before it."""

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Refuse a message."""

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        """Set the prefetch of consumers that are made from now on."""

    def basic_publish_confirm(
        self, msg: object, exchange: str = "", routing_key: str = "", mandatory: bool = False
    ) -> None:
        """Send a message, and wait until the broker has it."""


class Transport(Protocol):
    """Where a connection's bytes go."""

    def write(self, data: bytes) -> None:
        """Send all of these; raises OSError."""


class Link(Protocol):
    """A connection of py-amqp."""

    sock: socket.socket
    transport: Transport
    frame_max: int
    server_properties: Mapping[str, object]

    def channel(self) -> Channel:
        """A new channel."""

    def drain_events(self, timeout: float | None = None) -> None:
        """Handle one frame from the broker; raises TimeoutError when none came."""
