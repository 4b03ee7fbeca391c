"""Properties of the queues and the store, and the errors that mean that a queue does not work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import AccessRefused, InternalError, NotFound, PreconditionFailed

from edge.broker import topology
from edge.config import BrokerConfig
from edge.core.errors import BrokerError, QueueSilent
from tests.unit.broker.played_link import PlayedLink, played_link


@pytest.fixture
def link() -> Iterator[PlayedLink]:
    with played_link() as link:
        yield link


def test_every_queue_keeps_confirmed_messages() -> None:
    """Queues are durable quorum queues. Their delivery limit is higher than the power cuts of a night can reach."""
    for queue in (topology.DEAD, *topology.QUEUES.values()):
        assert queue.durable
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-delivery-limit"] == 1_000_000


def test_a_message_at_the_delivery_limit_is_kept() -> None:
    """Dead-lettering is at-least-once. That needs a queue that rejects publishes when full, and drops no message."""
    for queue in topology.QUEUES.values():
        arguments = queue.queue_arguments
        assert arguments["x-dead-letter-routing-key"] == topology.DEAD_NAME
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"


def test_a_store_without_a_mark_is_new_until_it_is_marked(link: PlayedLink) -> None:
    """The mark is a durable exchange, so it exists as long as the store."""
    assert topology.store_is_new(link)
    topology.mark_store(link)
    assert not topology.store_is_new(link)
    assert link.exchanges == {"edge.store": {"type": "fanout", "durable": True, "auto_delete": False}}


@pytest.mark.parametrize(
    ("err", "dead"),
    [
        (QueueSilent("x"), True),
        (TimeoutError(), True),
        (InternalError("x"), True),
        (NotFound("x"), True),
        (ConnectionResetError(), False),
        (AccessRefused("x"), False),
        (PreconditionFailed("x"), False),
        (None, False),
    ],
)
def test_errors_that_mean_a_dead_queue(err: BaseException | None, dead: bool) -> None:
    """Only these errors justify a restart of the broker. A refusal would be the same after it."""
    assert topology.is_queue_failure(err) == dead


class _CheckedChannel:
    """A simulated channel for the check of the queues, which records what is done to messages."""

    def __init__(self, counts: dict[str, int], fault: Exception | None = None) -> None:
        self.counts, self.fault = counts, fault
        self.got: list[str] = []
        self.rejected: list[tuple[int, bool]] = []

    def prepare_queue_arguments(self, arguments: dict[str, Any], **_options: Any) -> dict[str, Any]:
        return arguments

    def queue_declare(self, queue: str, **_options: Any) -> SimpleNamespace:
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(message_count=self.counts.get(queue, 0), consumer_count=0)

    def basic_get(self, queue: str, no_ack: bool = False) -> SimpleNamespace | None:
        self.got.append(queue)
        return SimpleNamespace(delivery_tag=7) if queue == "edge.normal" and not no_ack else None

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        self.rejected.append((delivery_tag, requeue))


def _reaching(channel: _CheckedChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_channel(_config: BrokerConfig, *, timeout_s: float) -> Iterator[_CheckedChannel]:
        try:
            yield channel
        except topology.CONNECTION_ERRORS as err:
            raise BrokerError(f"broker: {err}") from err

    monkeypatch.setattr(topology, "open_channel", open_channel)


def test_a_message_that_the_check_received_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message may arrive between the count and the `get`. If the check kept it, a job would be lost."""
    channel = _CheckedChannel({"edge.always": 3})
    _reaching(channel, monkeypatch)
    topology.check_queues(BrokerConfig(), timeout_s=1.0)
    assert channel.rejected == [(7, True)]
    assert sorted(channel.got) == ["edge.dead", "edge.normal", "edge.surplus"], (
        "the check read from a queue whose count had answered already"
    )


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(TimeoutError(), QueueSilent), (InternalError("down"), QueueSilent), (PreconditionFailed("other"), BrokerError)],
)
def test_only_a_queue_that_does_not_answer_is_silent(
    fault: Exception, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue with other arguments does answer."""
    _reaching(_CheckedChannel({}, fault), monkeypatch)
    with pytest.raises(BrokerError) as met:
        topology.check_queues(BrokerConfig(), timeout_s=1.0)
    assert type(met.value) is raised
