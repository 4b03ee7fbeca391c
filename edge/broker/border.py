"""Types for the parts of py-amqp and kombu that edge uses. These types replace `Any` in `edge.broker`.

The stubs of `celery-types` cover Celery's documented interface. They lack or contradict much of the internals that this
worker uses (a channel's events, the hub, the steps). So using them would add more exemptions than types.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, MutableMapping, MutableSet
from typing import Protocol

#: Called by py-amqp with the fields of an AMQP method. The number and types of the fields depend on the event.
Listener = Callable[..., None]


class QueueState(Protocol):
    """The broker's answer to a declaration of a queue."""

    message_count: int
    consumer_count: int


class Received(Protocol):
    """A message from `basic_get`."""

    delivery_tag: int
    headers: Mapping[str, object] | None


class Message(Protocol):
    """A message that the broker delivered. Its content comes from other programs, so it must be checked."""

    headers: object
    properties: object
    body: bytes | str | memoryview | None
    delivery_info: object
    delivery_tag: int

    def decode(self) -> object:
        """Return the body, decoded by its content type. May raise any exception of the decoder."""


class Channel(Protocol):
    """One channel of a connection."""

    connection: Link
    channel_id: int

    @property
    def events(self) -> MutableMapping[str, MutableSet[Listener]]:
        """The functions that are called at `basic_ack`, `basic_nack` and `basic_return`."""

    def close(self) -> None:
        """Close the channel."""

    def confirm_select(self) -> None:
        """Switch to confirm mode: the broker confirms each publish from now on."""

    def exchange_declare(
        self,
        exchange: str,
        type: str,  # noqa: A002 - py-amqp's name
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
    ) -> None:
        """Declare an exchange. With `passive`, only check that it exists; raises NotFound if it does not."""

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
        """Declare a queue. With `passive`, only check that it exists; raises NotFound if it does not."""

    def queue_delete(self, queue: str) -> None:
        """Delete a queue with its messages."""

    def queue_purge(self, queue: str) -> int:
        """Remove the messages of a queue, and return their number."""

    def basic_get(self, queue: str, no_ack: bool = False) -> Received | None:
        """Return the first message of a queue, or None if it is empty."""

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge a message; with `multiple`, also all messages before it."""

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Reject a message; with `requeue`, it returns to its queue."""

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        """Set the prefetch of the consumers that are created after this call."""

    def basic_publish_confirm(
        self, msg: object, exchange: str = "", routing_key: str = "", mandatory: bool = False
    ) -> None:
        """Publish a message, and wait for the confirm of the broker."""


class Transport(Protocol):
    """The byte stream of a connection."""

    def write(self, data: bytes) -> None:
        """Send all bytes. Raises OSError."""


class Link(Protocol):
    """A connection of py-amqp."""

    sock: socket.socket
    transport: Transport
    frame_max: int
    server_properties: Mapping[str, object]

    def channel(self) -> Channel:
        """Open a new channel."""

    def drain_events(self, timeout: float | None = None) -> None:
        """Handle one frame from the broker. Raises TimeoutError if none comes in time."""
