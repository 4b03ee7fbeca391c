"""One frame settles many deliveries if it means the same, and never one delivery too many."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge.worker.attempt.delivery import Delivery
from edge.worker.flow.settlement import Settlement


class Channel:
    """Settles deliveries as RabbitMQ does. An unknown tag is an error."""

    def __init__(self, tags: int) -> None:
        self.open = set(range(1, tags + 1))
        self.acked: set[int] = set()
        self.back: set[int] = set()
        self.frames = 0

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge, as RabbitMQ does."""
        self.acked |= self._settled(delivery_tag, multiple)

    def send_method(self, _sig: Any, _format: str, args: tuple[Any, ...]) -> None:
        """Handle a `basic.nack`, as RabbitMQ does."""
        self.back |= self._settled(args[0], args[1])

    def _settled(self, tag: int, multiple: bool) -> set[int]:
        assert tag in self.open
        self.frames += 1
        tags = {each for each in self.open if each <= tag} if multiple else {tag}
        self.open -= tags
        return tags


def _deliveries(count: int, settlement: Settlement) -> list[Delivery]:
    made = [
        Delivery(message=SimpleNamespace(delivery_tag=tag), queue="q", id=str(tag), task="t")
        for tag in range(1, count + 1)
    ]
    for delivery in made:
        settlement.take(delivery)
    return made


@given(st.lists(st.sampled_from(["ack", "back", "keep"]), max_size=40), st.lists(st.integers(0, 39), max_size=6))
def test_exactly_what_was_asked_for_is_settled(fates: list[str], cuts: list[int]) -> None:
    """This holds whatever is parked or blocked between them, and in any portions."""
    channel, settlement = Channel(len(fates)), Settlement()
    settlement.attach(channel)
    made = _deliveries(len(fates), settlement)
    at = sorted({0, *(cut for cut in cuts if cut < len(fates)), len(fates)})
    for start, end in pairwise(at):
        portion = list(zip(made[start:end], fates[start:end], strict=True))
        settlement.acknowledge([delivery for delivery, fate in portion if fate == "ack"])
        settlement.give_back([delivery for delivery, fate in portion if fate == "back"])
    tags = {fate: {tag for tag, each in enumerate(fates, 1) if each == fate} for fate in ("ack", "back", "keep")}
    assert (channel.acked, channel.back, channel.open) == (tags["ack"], tags["back"], tags["keep"])
    assert [settlement.holds(delivery) for delivery in made] == [fate == "keep" for fate in fates]


def test_a_group_costs_one_frame() -> None:
    """This is the purpose of the window."""
    channel, settlement = Channel(32), Settlement()
    settlement.attach(channel)
    settlement.acknowledge(_deliveries(32, settlement))
    assert (channel.frames, len(channel.acked)) == (1, 32)


def test_a_delivery_of_a_lost_connection_is_not_settled_on_the_next() -> None:
    """There the same tag belongs to another message."""
    first, second, settlement = Channel(1), Channel(1), Settlement()
    settlement.attach(first)
    (old,) = _deliveries(1, settlement)
    settlement.detach()
    settlement.acknowledge([old])
    settlement.attach(second)
    _deliveries(1, settlement)
    settlement.acknowledge([old])
    assert (first.open, second.open) == ({1}, {1})
