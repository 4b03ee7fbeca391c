"""The gateway as a process: it starts, reports that it is ready, stops on a signal, and fails with one line."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.broker import topology as broker_module
from edge.catalog.catalogue import Catalogue
from edge.config import BrokerConfig, Config
from edge.core.backoff import Backoff
from edge.core.errors import CatalogueError
from edge.gateway import kinds
from tests import running_gateway
from tests.conftest import MakeConfig
from tests.running_gateway import StartGateway, catalogue
from tests.running_worker import until


@contextmanager
def started(env: dict[str, str], log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m edge.gateway`, or another command; kill it at the end if it still runs."""
    with log.open("wb") as out:
        argv = [sys.executable, "-m", *(words or ["edge.gateway"])]
        process = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd would listen for READY=1."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(60)
        yield link


def health(config: Config) -> str:
    """Return the gateway's own health."""
    with urllib.request.urlopen(f"http://127.0.0.1:{config.gateway.port}/v1/healthz", timeout=10) as answer:
        return str(json.load(answer)["health"])


def test_the_command_logs_as_the_module_does(
    make_config: MakeConfig, edge_env: dict[str, str], tmp_path: Path, ready: socket.socket
) -> None:
    """`edge gateway` run by hand logs its address."""
    config = make_config(tasks=[])
    edge_env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    with started(edge_env, tmp_path / "log", "edge.cli.main", "gateway"):
        assert ready.recv(100) == b"READY=1"
    assert f"listening on http://127.0.0.1:{config.gateway.port}" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_stops_in_order(
    make_config: MakeConfig, edge_env: dict[str, str], tmp_path: Path, ready: socket.socket, number: signal.Signals
) -> None:
    """It sends READY=1 once it answers; a signal ends it with 0, fast even with a waiting client and no broker."""
    config = make_config(tasks=[])
    edge_env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    with started(edge_env, tmp_path / "log") as process:
        assert ready.recv(100) == b"READY=1"
        assert health(config) == "degraded"
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 3
        assert ready.recv(100) == b"STOPPING=1"
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_port_in_use_is_one_line(edge_env: dict[str, str], make_config: MakeConfig, tmp_path: Path) -> None:
    """A port in use is one line with address and keys, and exit code 3."""
    config = make_config()
    with socket.create_server(("127.0.0.1", config.gateway.port)), started(edge_env, tmp_path / "log") as process:
        assert process.wait(30) == 3
    (line,) = (tmp_path / "log").read_text().splitlines()
    expected = f"cannot listen on 127.0.0.1:{config.gateway.port} (gateway.host, gateway.port): the port is in use"
    assert line == f"edge gateway: {expected}"


def test_a_second_gateway_on_the_same_state_is_one_line(
    edge_env: dict[str, str], make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path
) -> None:
    """A second gateway on the same state does not listen, because the ledger has one writer."""
    start_gateway(make_config())
    with started(edge_env, tmp_path / "log") as process:
        assert process.wait(30) == 3
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.startswith("edge gateway: a gateway, or `edge restore`, is at work on ")


def test_an_unreadable_ledger_is_set_aside(
    edge_env: dict[str, str], make_config: MakeConfig, tmp_path: Path, ready: socket.socket
) -> None:
    """A file that is not a ledger is set aside, never overwritten; the board accepts jobs, and the log reports it."""
    config = make_config()
    config.root.mkdir()
    config.layout.ledger.write_bytes(b"this is not a database, but it is long enough to be read as one" * 20)
    edge_env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    with started(edge_env, tmp_path / "log"):
        assert ready.recv(100) == b"READY=1"
    assert "CRITICAL edge.ledger.recovery.rebuild: The ledger was set aside at" in (tmp_path / "log").read_text()
    assert (config.root / "ledger.set-aside-1" / "ledger.sqlite").read_bytes().startswith(b"this is not")


def test_tasks_that_could_not_be_read_at_first_are_read_again(
    make_config: MakeConfig, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the tasks can be read jobs get 503; then they are accepted without a restart."""
    calls: list[int] = []
    once_more = threading.Event()

    def load() -> Catalogue:
        calls.append(1)
        if len(calls) > 1 and once_more.wait(20):
            return catalogue()
        raise CatalogueError("the task modules were not imported within 1 s")

    monkeypatch.setattr(kinds, "_RETRY", Backoff(first_s=0.01, most_s=3600.0))
    monkeypatch.setattr(running_gateway, "catalogue", load)
    gateway = start_gateway(make_config())
    assert gateway.ask("POST", "/jobs", {"task": "nothing"}).status == 503
    assert gateway.ask("GET", "/healthz").status == 503
    once_more.set()
    until(lambda: gateway.ask("GET", "/healthz").status == 200, lambda: f"well after {len(calls)} reads")
    assert gateway.ask("POST", "/jobs", {"task": "nothing"}).status == 202
    assert len(calls) == 2


def test_no_heavy_library_is_loaded(edge_env: dict[str, str], make_config: MakeConfig) -> None:
    """It imports neither Celery nor tasks nor ChatterBot, and Prometheus only at the first scrape."""
    make_config()
    program = "import edge.gateway.main, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=edge_env, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"celery", "chatterbot", "spacy", "tasks", "prometheus_client", "sqlalchemy", "gpiozero"}


@pytest.mark.broker
def test_a_job_goes_on_to_the_broker(
    make_config: MakeConfig, broker: BrokerConfig, start_gateway: StartGateway
) -> None:
    """A job is accepted, then queued in the queue of its power class; healthz and status are well."""
    gateway = start_gateway(make_config(broker=broker))
    answer = gateway.ask("POST", "/jobs", {"task": "nothing", "power": "surplus"})
    assert answer.status == 202
    view = gateway.becomes(answer.json["id"], "queued")
    assert view["waiting"] == "no worker is running"
    assert broker_module.depths(broker)["edge.surplus"] == 1
    assert gateway.ask("GET", "/healthz").json == {"health": "ok", "reasons": []}
    assert gateway.ask("GET", "/status").json["broker"]["state"] == "connected"
    metrics = gateway.ask("GET", "/metrics").body.decode()
    assert 'edge_jobs{state="queued"} 1.0' in metrics
    assert 'edge_broker{state="connected"} 1.0' in metrics
