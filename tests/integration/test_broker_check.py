"""Only a queue that answers nothing speaks against the broker's store; everything else must not cost it its store."""

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
    """Empty queues and full ones answer; no message is taken, nor counted as delivered."""
    broker_module.check_queues(broker, timeout_s=20.0)
    name = broker_module.queue_name(Power.NORMAL)
    with broker_module.reached(broker) as channel:
        channel.basic_publish_confirm(amqp.Message("{}"), routing_key=name)
    broker_module.check_queues(broker, timeout_s=20.0)
    with broker_module.reached(broker) as channel:
        message = channel.basic_get(name, no_ack=True)
    assert message is not None
    assert not (message.headers or {}).get("x-delivery-count")  # 4.x adds no header at all to a first delivery


@pytest.mark.parametrize("wrong", ["password", "port"])
def test_a_broker_that_refuses_or_is_away_is_not_damaged(broker: BrokerConfig, tmp_path: Path, wrong: str) -> None:
    """A wrong password, or nobody behind the port, says nothing about the store."""
    other = tmp_path / "password"
    other.write_text("not this one")
    changes = {"password_file": other} if wrong == "password" else {"port": free_ports(1)[0]}
    with pytest.raises(BrokerError) as raised:
        broker_module.check_queues(msgspec.structs.replace(broker, **changes), timeout_s=5.0)
    assert not isinstance(raised.value, QueueSilent)


def test_a_queue_of_another_version_is_not_damaged(broker: BrokerConfig) -> None:
    """Declared with other arguments, RabbitMQ refuses ours; an upgrade must not throw the store away."""
    name = broker_module.queue_name(Power.SURPLUS)
    with broker_module.reached(broker) as channel:
        channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    with pytest.raises(BrokerError, match="inequivalent") as raised:
        broker_module.check_queues(broker, timeout_s=20.0)
    assert not isinstance(raised.value, QueueSilent)
