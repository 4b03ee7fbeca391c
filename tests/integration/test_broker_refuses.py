"""If the broker refuses us, every part says what is wrong and how to fix it, waits, and continues once it is fixed."""

from __future__ import annotations

import logging
import subprocess
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from edge.broker import topology
from edge.broker.publisher import BrokerLinkState, Publisher
from edge.broker.restart_request import RestartRequest
from edge.cli.board.checks import parts
from edge.config import BrokerConfig
from edge.core.errors import BrokerError, QueueSilent
from edge.core.layout import Layout
from edge.model import Power, PowerState, WorkerState
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.integration.test_outbox import ctl
from tests.running_worker import StartWorker, publish, report_power, until

pytestmark = pytest.mark.broker
NORMAL = topology.queue_name(Power.NORMAL)
KINDS = {
    "queue": "rabbitmqctl -p / delete_queue edge.normal",
    "password": "broker.password_file",
    "vhost": "rabbitmqctl add_vhost nowhere",
    "rights": "rabbitmqctl list_user_permissions poor",
}


def refusing(kind: str, broker: BrokerConfig, node: PrivateNode, folder: Path) -> BrokerConfig:
    """Make a broker refuse us in this way, and return how to reach it."""
    secret = folder / "other"
    secret.write_text("other")
    if kind == "queue":
        with topology.open_channel(broker) as channel:
            channel.queue_declare(NORMAL, durable=True, auto_delete=False)
        return broker
    if kind == "password":
        return msgspec.structs.replace(broker, password_file=secret)
    if kind == "vhost":
        return msgspec.structs.replace(broker, vhost="nowhere")
    with suppress(subprocess.CalledProcessError):  # it exists already from the test before
        ctl(node, "add_user", "poor", "other")
    ctl(node, "set_permissions", "poor", "", "", "")
    return msgspec.structs.replace(broker, user="poor", password_file=secret)


@pytest.mark.parametrize("kind", KINDS)
def test_the_check_and_doctor_name_the_cure(
    broker: BrokerConfig, broker_node: PrivateNode, tmp_path: Path, kind: str
) -> None:
    """Check and doctor name the fix in one line, and never report damage of the store."""
    config = refusing(kind, broker, broker_node, tmp_path)
    with pytest.raises(BrokerError) as raised:
        topology.check_queues(config, timeout_s=20.0)
    assert not isinstance(raised.value, QueueSilent)
    assert KINDS[kind] in str(raised.value)
    assert "\n" not in str(raised.value)
    if kind == "queue":
        (finding,) = (each for each in parts.broker(config) if each.level == "FAIL")
        assert NORMAL in finding.text
        assert KINDS[kind] in finding.advice


@pytest.mark.parametrize("kind", KINDS)
def test_the_publisher_waits_and_says_it_once(
    broker: BrokerConfig,
    broker_node: PrivateNode,
    tmp_path: Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The `waiting` of a job names the fix, and the log has it once."""
    config = refusing(kind, broker, broker_node, tmp_path)
    done: Future[None] = Future()
    publisher = Publisher(
        config,
        fetch=lambda _after, _limit: [],
        confirmed=lambda _jobs: done,
        complaint=RestartRequest(Layout(tmp_path, tmp_path), "gateway"),
    )
    with caplog.at_level(logging.WARNING, "edge.broker.publisher"):
        publisher.start()
        until(lambda: KINDS[kind] in publisher.link.reason, lambda: str(publisher.link))
        time.sleep(1.5)  # at least three more tries
        publisher.stop()
    assert publisher.link.state is BrokerLinkState.DOWN
    assert len([record for record in caplog.records if KINDS[kind] in record.getMessage()]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_worker_waits_with_the_reason(
    broker: BrokerConfig,
    broker_node: PrivateNode,
    make_config: MakeConfig,
    start_worker: StartWorker,
    tmp_path: Path,
    kind: str,
) -> None:
    """The worker stays one process, logs one line, and its status names the fix."""
    config = make_config(broker=refusing(kind, broker, broker_node, tmp_path), tasks=["odd"])
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    until(lambda: (status := worker.status) and KINDS[kind] in status.reason, worker.log_tail)
    time.sleep(2.5)  # for further tries
    assert worker.process.poll() is None
    assert "Traceback" not in worker.log_tail()
    assert worker.log_tail().count(KINDS[kind]) == 1
    if kind == "queue":
        with topology.open_channel(broker) as channel:
            channel.queue_delete(NORMAL)
        worker.until_state(WorkerState.IDLE)
        until(lambda: (status := worker.status) and status.reason == "", worker.log_tail)
        assert worker.result(publish(broker, "echo", "x")).value == "x"
