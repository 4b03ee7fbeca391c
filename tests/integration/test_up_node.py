"""A private RabbitMQ node starts, stops, keeps its state, and explains why it cannot start."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import amqp
import pytest

from edge.broker.topology import depths
from edge.config import BrokerConfig
from edge.core.errors import StackError
from edge.core.host import process_alive
from edge.up.broker import rabbitmq
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import NodePorts, accepts, free_ports, speaks_amqp
from tests.running_worker import until

pytestmark = pytest.mark.broker


def connect(config: BrokerConfig) -> amqp.Connection:
    connection = amqp.Connection(
        f"{config.host}:{config.port}", userid=config.user, password=config.password(), read_timeout=20
    )
    connection.connect()
    return connection


@pytest.fixture
def own_node(tmp_path: Path, broker_node: PrivateNode) -> PrivateNode:
    """A second node, not started, in addition to that of the session."""
    del broker_node  # the fixture skips or fails if there is no broker
    return PrivateNode(tmp_path / "node", NodePorts(*free_ports(3)))


def test_keeps_messages_over_a_clean_stop_and_over_a_crash(own_node: PrivateNode) -> None:
    """A persistent message in a quorum queue survives a clean stop and a SIGKILL."""
    own_node.start()
    try:
        with connect(own_node.config) as connection:
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
            channel.confirm_select()
            message = amqp.Message("still here", delivery_mode=2)
            channel.basic_publish_confirm(message, routing_key="kept")
        for end in (own_node.stop, own_node.kill):
            end()
            assert not accepts(own_node.ports.amqp)
            own_node.start()
            with connect(own_node.config) as connection:
                channel = connection.channel()
                # It was taken before the end and not acknowledged, so a new broker gives it back a little later.
                got = until(partial(channel.basic_get, "kept", no_ack=False), "the message")
                assert got.body == "still here"
    finally:
        own_node.kill()


def test_stop_leaves_no_process_and_may_be_called_again(own_node: PrivateNode) -> None:
    """Neither broker nor port mapper is left after `stop`, and a second `stop` does nothing."""
    own_node.start()
    pids = [child.pid for child in own_node.children]
    own_node.stop()
    own_node.stop()
    assert not any(process_alive(pid) for pid in pids)
    assert not own_node.running


def test_secrets_are_private_and_kept(own_node: PrivateNode) -> None:
    """Only the owner can read cookie, password and settings, and they stay the same at the next start."""
    own_node._write()
    cookie, password = own_node.base / ".erlang.cookie", own_node.password_file
    before = cookie.read_bytes(), password.read_bytes()
    assert cookie.stat().st_mode & 0o777 == 0o400
    assert password.stat().st_mode & 0o777 == 0o600
    assert (own_node.base / "etc" / "rabbitmq.conf").stat().st_mode & 0o777 == 0o600
    own_node._write()
    assert (cookie.read_bytes(), password.read_bytes()) == before


def test_a_cookie_emptied_by_a_power_cut_is_made_again(own_node: PrivateNode) -> None:
    """An empty cookie, with which Erlang does not start, is replaced; nothing else needs the old one."""
    own_node._write()
    cookie = own_node.base / ".erlang.cookie"
    cookie.unlink()
    cookie.touch(mode=0o400)
    own_node._write()
    assert cookie.stat().st_size == 40


@pytest.mark.parametrize(("place", "key"), [(0, "broker.port"), (1, "Erlang distribution"), (2, "Erlang port mapper")])
def test_a_port_in_use_is_named_with_its_key(own_node: PrivateNode, place: int, key: str) -> None:
    """For each of the three ports one line names number and key, and nothing is started."""
    port = (own_node.ports.amqp, own_node.ports.distribution, own_node.ports.epmd)[place]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as caught:
        own_node.start()
    assert f"port {port} " in str(caught.value)
    assert key in str(caught.value)
    assert "in use" in str(caught.value)
    assert own_node.children == ()


def test_a_missing_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without RabbitMQ the line has the apt command."""
    monkeypatch.setattr(rabbitmq, "DEBIAN_SERVER", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="apt install rabbitmq-server"):
        rabbitmq.find_server()


def test_a_broker_that_dies_gives_its_last_line_and_its_log(own_node: PrivateNode) -> None:
    """A store that cannot be read stops the start at once, with a reason and the path of the log."""
    own_node._write()
    (own_node.base / "etc" / "conf.d" / "broken.conf").write_text("no_such_key = 1\n")
    with pytest.raises(StackError) as caught:
        own_node.start()
    assert "RabbitMQ ended with code" in str(caught.value)
    assert "no_such_key" in str(caught.value)
    assert "(log: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert own_node.children == ()


def test_nothing_outlives_a_killed_parent(own_node: PrivateNode) -> None:
    """SIGKILL of the process that started the node ends broker and port mapper."""
    script = (
        "import sys, signal; from pathlib import Path\n"
        "from edge.up.broker.node import PrivateNode; from edge.up.broker.ports import NodePorts\n"
        f"node = PrivateNode(Path({str(own_node.base)!r}), {own_node.ports!r}); node.start()\n"
        "print(*[child.pid for child in node.children], flush=True); signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        watches = [os.pidfd_open(pid) for pid in pids]
        parent.send_signal(signal.SIGKILL)
        for watch in watches:
            assert ended(watch, 10.0)
            os.close(watch)
    assert not speaks_amqp(own_node.ports.amqp)


def ended(pidfd: int, timeout_s: float) -> bool:
    """Return True once the process of `pidfd` has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def test_settling_marks_the_store_once(own_node: PrivateNode) -> None:
    """The marker is in the store, so it is set aside together with the store."""
    own_node._write()
    before = own_node.settled
    own_node.settle()
    assert (before, own_node.settled) == (False, True)
    assert (own_node.store / "settled").exists()


def test_a_store_set_aside_is_kept_and_the_next_start_makes_a_new_one(own_node: PrivateNode) -> None:
    """Each store that is set aside is kept."""
    assert own_node.set_aside("no reason") is None
    kept = []
    for content in ("first", "second"):
        own_node._write()
        (own_node.store / "content").write_text(content)
        aside = own_node.set_aside("a reason")
        assert aside is not None
        kept.append((aside / "content").read_text())
    assert kept == ["first", "second"]
    own_node._write()
    assert list(own_node.store.iterdir()) == []


def test_settling_before_the_first_job_survives_a_kill_at_once(own_node: PrivateNode) -> None:
    """After declare, clean stop, settle and start, a queue that is killed at once answers when it is back."""
    own_node.start()
    try:
        depths(own_node.config)
        own_node.stop()
        own_node.settle()
        own_node.start()
        own_node.kill()
        own_node.start()
        with connect(own_node.config) as connection:
            channel = connection.channel()
            assert [channel.basic_get(queue, no_ack=True) for queue in depths(own_node.config)] == [None] * 4
    finally:
        own_node.kill()
