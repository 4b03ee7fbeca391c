"""Fixtures for all tests: configurations under a temporary folder, and one real private broker."""

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

#: The queues that `edge.broker.topology.declare` makes, and those for kinds of the pool io and of a worker `own`. Each
#: test starts without them.
QUEUES = (
    "edge.dead",
    *(f"edge.{owner}{klass}" for owner in ("", "io.", "only.own.") for klass in ("always", "normal", "surplus")),
)

#: Process ids of the brokers that had no queue to recover when they started.
ON_NEW_STORES: set[int] = set()

MakeConfig = Callable[..., Config]


def pytest_configure() -> None:
    """Let signals interrupt the programs under test, and remove the deadline of hypothesis.

    A session under `nohup` or in the background of a shell ignores SIGHUP or SIGINT, and a child inherits that. If the
    session has a handler, even an empty one, the child gets the default action.

    An example of a property has no deadline, because a busy machine would fail a correct test.
    """
    hypothesis.settings.register_profile("edge", deadline=None)
    hypothesis.settings.load_profile("edge")
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session")
def broker_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """One private RabbitMQ for the session; a test that stops it must start it again."""
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
    """Remove the appliance's queues with their messages; a missing queue is not an error."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with amqp.Connection(f"{config.host}:{config.port}", userid=config.user, password=config.password()) as to:
                channel = to.channel()
                for queue in QUEUES:
                    channel.queue_delete(queue)
                channel.exchange_delete("edge.store")  # the mark that a ledger leaves in a store
        except OSError:  # a broker that has just started may close its first connection
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def without_queues(node: PrivateNode) -> BrokerConfig:
    """Start `node` if needed, remove the appliance's queues, and return how to reach it."""
    if not node.running or node.pid not in ON_NEW_STORES:
        # A test has restarted it, so it has recovered queues. If such a queue is deleted, RabbitMQ loses the
        # supervisor of its dead letters, and every later declare fails. So it starts with a new store.
        node.stop()
        shutil.rmtree(node.store, ignore_errors=True)
        node.start()
        ON_NEW_STORES.add(node.pid)
    delete_queues(node.config)
    return node.config


@pytest.fixture
def broker(broker_node: PrivateNode) -> BrokerConfig:
    """How to reach the running broker, which has none of the appliance's queues."""
    return without_queues(broker_node)


def sections(broker: BrokerConfig) -> dict[str, Any]:
    """Return the section `broker` of edge.yaml."""
    return {
        "host": broker.host,
        "port": broker.port,
        "vhost": broker.vhost,
        "user": broker.user,
        "password_file": str(broker.password_file),
    }


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """`make_config(broker=..., gateway={...}, ...)` makes a Config with its root and run under `tmp_path`.

    It also writes the configuration to `tmp_path/edge.yaml`, for programs started with EDGE_CONFIG. Without `broker`
    the Config names a port at which nothing listens. The gateway gets a free port.
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
    """A Config whose broker does not exist, for tests that need only files."""
    return make_config()


@pytest.fixture
def edge_env(tmp_path: Path) -> dict[str, str]:
    """The environment of a program that must read `tmp_path/edge.yaml`, and no `EDGE_` variable of the caller."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    return env | {"EDGE_CONFIG": str(tmp_path / "edge.yaml"), "PYTHONUNBUFFERED": "1"}
