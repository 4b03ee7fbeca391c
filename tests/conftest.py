"""Fixtures for every test: configurations under a temporary folder and one real private broker."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import hypothesis
import pytest
import yaml

from edge.config import BrokerConfig, Config, load
from edge.core.errors import StackError
from edge.up.broker import rabbitmq
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import NodePorts, free_ports

#: What `edge.broker.topology.declare` makes, and what kinds of the pool io and a worker `own` want; each test starts
#: without them.
QUEUES = (
    "edge.dead",
    *(f"edge.{owner}{klass}" for owner in ("", "io.", "only.own.") for klass in ("always", "normal", "surplus")),
)

#: Process ids of the brokers that had no queue to recover when they started.
ON_NEW_STORES: set[int] = set()

MakeConfig = Callable[..., Config]


def pytest_configure() -> None:
    """Let the programs under test be interrupted where the session itself is not (`nohup`, a shell's background job).

    What is ignored stays ignored in a child; a handler, even an empty one, becomes the default there.

    Properties get no deadline for an example: on a busy machine it fails a test that is right.
    """
    hypothesis.settings.register_profile("edge", deadline=None)
    hypothesis.settings.load_profile("edge")
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session")
def broker_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """One private RabbitMQ for the session; a test that stops it starts it again."""
    try:
        rabbitmq.find_server()
        rabbitmq.find_epmd()
    except StackError as err:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and there is no broker: {err}")
        pytest.skip(str(err))
    node = PrivateNode(tmp_path_factory.mktemp("broker"), NodePorts(*free_ports(3)))
    node.start()
    ON_NEW_STORES.add(node.pid)
    yield node
    node.stop()


def delete_queues(config: BrokerConfig, *, patience_s: float = 20.0) -> None:
    """Remove the appliance's queues with what is in them; deleting a missing queue is not an error."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with amqp.Connection(f"{config.host}:{config.port}", userid=config.user, password=config.password()) as to:
                channel = to.channel()
                for queue in QUEUES:
                    channel.queue_delete(queue)
                channel.exchange_delete("edge.store")  # the mark of a store that a ledger knows
        except OSError:  # a broker that has just begun to answer may still hang up on the first
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def without_queues(node: PrivateNode) -> BrokerConfig:
    """How to reach `node`, running and with none of the appliance's queues: for a test, or for a module of tests."""
    if not node.running or node.pid not in ON_NEW_STORES:
        # A test has started it: RabbitMQ loses the supervisor of its dead letters, and every later declare with it,
        # when a queue is deleted that it has just recovered.
        node.stop()
        shutil.rmtree(node.store, ignore_errors=True)
        node.start()
        ON_NEW_STORES.add(node.pid)
    delete_queues(node.config)
    return node.config


@pytest.fixture
def broker(broker_node: PrivateNode) -> BrokerConfig:
    """How to reach the running broker, which holds none of the appliance's queues."""
    return without_queues(broker_node)


def sections(broker: BrokerConfig) -> dict[str, Any]:
    """`broker` as it stands in edge.yaml."""
    return {
        "host": broker.host,
        "port": broker.port,
        "vhost": broker.vhost,
        "user": broker.user,
        "password_file": str(broker.password_file),
    }


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """`make_config(broker=..., gateway={...}, ...)`: a Config with its root and run under `tmp_path`.

    The same is written to `tmp_path/edge.yaml`, for programs started with EDGE_CONFIG. Without `broker` a
    port where nothing listens is named; the gateway gets a free port.
    """

    def make(broker: BrokerConfig | None = None, **changes: Any) -> Config:
        spare, gateway = free_ports(2)
        tree: dict[str, Any] = {
            "root": "state",
            "run": "run",
            "broker": sections(broker) if broker else {"port": spare},
            "gateway": {"port": gateway, "loopback_without_token": True},
        }
        for key, value in changes.items():
            tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / "edge.yaml"
        path.write_text(yaml.safe_dump(tree))
        return load(path, env={}).config

    return make


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    """A Config whose broker does not exist, for what needs files only."""
    return make_config()


@pytest.fixture
def edge_env(tmp_path: Path) -> dict[str, str]:
    """Environment for a program of ours that is to read `tmp_path/edge.yaml` and nothing of the caller's."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    return env | {"EDGE_CONFIG": str(tmp_path / "edge.yaml"), "PYTHONUNBUFFERED": "1"}
