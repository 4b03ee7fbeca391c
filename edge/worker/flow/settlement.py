"""Acknowledges deliveries, or gives them back to the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from edge.worker.attempt.delivery import Delivery


class Channel(Protocol):
    """The part of an AMQP channel that settles deliveries."""

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> object:
        """Acknowledge one delivery, or it and all before it."""

    def send_method(self, sig: tuple[int, int], format: str, args: tuple[object, ...]) -> object:  # noqa: A002 - py-amqp's name
        """Send an AMQP method that py-amqp has no function for."""


_NACK = (60, 120)


class Settlement:
    """Holds the deliveries of one channel that are not settled yet, oldest first. Belongs to the main thread.

    All consumers share the channel and its delivery tags, so `multiple` settles all deliveries up to a tag, of every
    queue. It is used only for the oldest deliveries, up to the first one that stays unsettled. All others are settled
    one by one. While an old delivery is parked or blocked, this costs one frame for each later delivery, and no more.
    """

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._open: dict[int, Delivery] = {}

    def attach(self, channel: Channel) -> None:
        """Use the channel of a new connection, which has no unsettled delivery yet."""
        self._channel, self._open = channel, {}

    def detach(self) -> None:
        """Forget the lost connection and its deliveries. The broker delivers them again."""
        self._channel, self._open = None, {}

    def take(self, delivery: Delivery) -> None:
        """Add a delivery that came over the channel."""
        self._open[delivery.message.delivery_tag] = delivery

    def holds(self, delivery: Delivery) -> bool:
        """Return True if the broker waits for the settlement of this delivery, and False if its connection is lost."""
        return self._open.get(delivery.message.delivery_tag) is delivery

    def in_hand(self, queue: str) -> int:
        """Return how many deliveries of `queue` are not settled."""
        return sum(delivery.queue == queue for delivery in self._open.values())

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge the deliveries, except those of an earlier connection. Raises any error of the connection."""
        channel = self._channel
        if channel is not None:
            self._settle(deliveries, lambda tag, multiple: channel.basic_ack(tag, multiple=multiple))

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Put the messages back into their queues. Raises any error of the connection.

        This sends `basic.nack`. kombu's `requeue` sends `basic.reject`, which RabbitMQ 4.3 counts as a failed delivery.
        """
        channel = self._channel
        if channel is not None:
            self._settle(deliveries, lambda tag, multiple: channel.send_method(_NACK, "Lbb", (tag, multiple, True)))

    def give_back_all(self) -> None:
        """Put all unsettled messages back into their queues. Raises any error of the connection."""
        self.give_back(list(self._open.values()))

    def _settle(self, deliveries: Iterable[Delivery], send: Callable[[int, bool], object]) -> None:
        tags = {delivery.message.delivery_tag for delivery in deliveries if self.holds(delivery)}
        oldest: list[int] = []
        for tag in self._open:
            if tag not in tags:
                break
            oldest.append(tag)
        for tag in tags:  # before the frames are sent: if the connection breaks there, its deliveries are lost anyway
            del self._open[tag]
        if oldest:
            send(oldest[-1], len(oldest) > 1)
        for tag in sorted(tags.difference(oldest)):
            send(tag, False)
