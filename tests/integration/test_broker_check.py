"""Only a queue that does not answer counts as damage of the broker's store; nothing else may cause its deletion."""

from __future__ import annotations

from pathlib import Path

import amqp
import msgspec
import pytest

from edge.broker import topology as broker_module
from edge.config import BrokerConfig
from edge.core.errors import BrokerError, QueueSilent
from edge.model import Power
from edge.up.broker.ports import free_ports

pytestmark = pytest.mark.broker


def test_a_sound_broker_passes_and_keeps_its_messages(broker: BrokerConfig) -> None:
    """Empty queues and a queue with a message answer. The check takes no message, and counts none as delivered."""
    broker_module.check_queues(broker, timeout_s=20.0)
    name = broker_module.queue_name(Power.NORMAL)
    with broker_module.open_channel(broker) as channel:
        channel.basic_publish_confirm(amqp.Message("{}"), routing_key=name)
    broker_module.check_queues(broker, timeout_s=20.0)
    with broker_module.open_channel(broker) as channel:
        message = channel.basic_get(name, no_ack=True)
    assert message is not None
    assert not (message.headers or {}).get("x-delivery-count")  # RabbitMQ 4 adds no header to a first delivery


@pytest.mark.parametrize("wrong", ["password", "port"])
def test_a_broker_that_refuses_or_is_away_is_not_damaged(broker: BrokerConfig, tmp_path: Path, wrong: str) -> None:
    """A wrong password, or a port where nothing listens, is not damage of the store."""
    other = tmp_path / "password"
    other.write_text("not this one")
    changes = {"password_file": other} if wrong == "password" else {"port": free_ports(1)[0]}
    with pytest.raises(BrokerError) as raised:
        broker_module.check_queues(msgspec.structs.replace(broker, **changes), timeout_s=5.0)
    assert not isinstance(raised.value, QueueSilent)


def test_a_queue_of_another_version_is_not_damaged(broker: BrokerConfig) -> None:
    """A queue with other arguments, which RabbitMQ refuses, is not damage: an upgrade must keep the store."""
    name = broker_module.queue_name(Power.SURPLUS)
    with broker_module.open_channel(broker) as channel:
        channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    with pytest.raises(BrokerError, match="inequivalent") as raised:
        broker_module.check_queues(broker, timeout_s=20.0)
    assert not isinstance(raised.value, QueueSilent)
