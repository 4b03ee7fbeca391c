"""The image's entry point and health check work as programs; compose file and Dockerfile agree with the code."""

from __future__ import annotations

import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edge.broker import topology
from edge.cli.main import COMMANDS
from edge.config import Config, load
from edge.config.example import example
from edge.model import PowerState, PowerStatus, WorkerState, WorkerStatus

REPO = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((REPO / "container/compose.yml").read_text())
ROLES = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "edge-worker"}
RECIPE = (REPO / "Dockerfile.arm64").read_text()
#: The worker's name as `container/run` makes it from the host name of the container.
NAME = re.sub(r"[^A-Za-z0-9]", "-", socket.gethostname())[:24]


# --- the compose file ---------------------------------------------------------------------------------------


def test_the_roles_are_commands_with_a_health_check_of_their_own() -> None:
    """Power, gateway and worker are commands of `edge`, and each health check names its role."""
    assert set(ROLES) == {"power", "gateway", "worker"}
    for name, role in ROLES.items():
        assert role["command"] in COMMANDS
        assert role["healthcheck"]["test"] == ["CMD", "healthy", role["command"]], name


def test_the_variables_are_keys_of_the_configuration() -> None:
    """`edge` accepts the variables of each role; the others are read by the entry point."""
    entry = (REPO / "container/run").read_text()
    for role in ROLES.values():
        given = {key: str(value) for key, value in role["environment"].items()}
        config = load(env={"EDGE_GATEWAY_HOST": "0.0.0.0", **given}).config
        assert (config.broker.host, config.broker.user) == (
            "rabbitmq",
            COMPOSE["services"]["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_USER"],
        )
        assert all(f"{key}:-" in entry for key in given if not key.startswith("EDGE_"))


def test_queues_that_the_compose_file_names_are_those_of_the_code() -> None:
    """The queues that a comment offers to choose from are exactly those that exist."""
    named = re.findall(r"edge\.\w+", re.findall(r"QUEUES: .*", (REPO / "container/compose.yml").read_text())[0])
    assert set(named) == {queue.name for queue in topology.QUEUES.values()}


def test_what_is_mounted_is_there() -> None:
    """Named volumes are declared, mounted files exist, and state and run are at the paths of the configuration."""
    for name, service in COMPOSE["services"].items():
        sources = [mount.split(":")[0] for mount in service["volumes"]]
        for source in sources:
            known = (REPO / "container" / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
            assert known, f"{name}: {source}"
    folders = [str(Config().root), str(Config().run)]
    assert all([mount.split(":")[1] for mount in role["volumes"]] == folders for role in ROLES.values())
    assert f"VOLUME {msgspec.json.format(msgspec.json.encode(folders), indent=0).decode()}" in RECIPE


def test_each_role_keeps_to_itself_and_comes_back() -> None:
    """Each role has a read-only root and no capability, joins no other container, and restarts by itself."""
    for role in ROLES.values():
        assert role["read_only"]
        assert role["cap_drop"] == ["ALL"]
        assert role["pid"] == "host"
        assert role["restart"] == "unless-stopped"
        assert "secrets" not in role  # Compose cannot place a secret into a read-only container
    assert ROLES["gateway"]["ports"] == [f"{Config().gateway.port}:{Config().gateway.port}"]
    rabbitmq = COMPOSE["services"]["rabbitmq"]
    assert rabbitmq["hostname"]
    assert rabbitmq["restart"] == "unless-stopped"


def _settings(path: str) -> dict[str, str]:
    lines = (REPO / path).read_text().splitlines()
    return dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in lines if line and not line.startswith("#"))


def test_the_broker_is_set_up_as_on_a_board() -> None:
    """The broker has the settings of a board; above all, a message may stay unacknowledged while its job runs."""
    here, board = _settings("container/rabbitmq.conf"), _settings("systemd/rabbitmq/rabbitmq.conf")
    fitted = _settings("ansible/roles/rabbitmq/templates/board.conf")
    given = yaml.safe_load((REPO / "ansible/roles/rabbitmq/defaults/main.yml").read_text())
    board |= {key: re.sub(r"{{ (\w+) }}", lambda name: str(given[name[1]]), value) for key, value in fitted.items()}
    assert here.items() <= board.items()
    assert "consumer_timeout" in here
    # If both watermarks are set, RabbitMQ uses the relative one, whatever their order.
    assert [key for key in board if "watermark" in key] == ["vm_memory_high_watermark.absolute"]


# --- the recipe ---------------------------------------------------------------------------------------------


def test_what_the_recipe_copies_is_in_the_context() -> None:
    """Each COPY names a file of the repository that .dockerignore does not exclude."""
    lines = re.findall(r"^COPY (.+)$", RECIPE, re.MULTILINE)
    copied = {word for line in lines if "--from" not in line for word in line.split()[:-1] if word[:2] != "--"}
    included = {line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == included
    assert all((REPO / path).exists() for path in copied)


def test_the_image_runs_without_root() -> None:
    """Each stage that is an image ends as the user `edge`, and the run volume of the compose file belongs to its id."""
    ends = re.findall(r"^FROM \w+ AS (\w+)(?:(?!\nFROM)[\s\S])*\nUSER edge\nCMD", RECIPE, re.MULTILINE)
    assert ends == ["up", "edge"]
    assert re.search(r"useradd .*--uid 8420 .* edge$", RECIPE.replace(" \\", ""), re.MULTILINE)
    assert "uid=8420" in COMPOSE["volumes"]["run"]["driver_opts"]["o"]


# --- the health check ---------------------------------------------------------------------------------------


def _healthy(role: str, run: Path, **env: str) -> int:
    argv = [sys.executable, "-IS", str(REPO / "container/healthy"), role]
    return subprocess.run(argv, env={"EDGE_RUN": str(run), **env}, check=False).returncode


def _worker(run: Path, name: str, state: WorkerState) -> None:
    (run / f"worker-{name}.json").write_bytes(msgspec.json.encode(WorkerStatus(name, 1, "boot", state)))


@pytest.mark.parametrize("state", WorkerState)
def test_a_worker_is_healthy_while_it_is_connected(tmp_path: Path, state: WorkerState) -> None:
    """A connected worker is healthy, also if it is held or paused; the status of another worker does not count."""
    _worker(tmp_path, "another", WorkerState.IDLE)
    assert _healthy("worker", tmp_path) == 1
    _worker(tmp_path, NAME, state)
    lost = {WorkerState.DISCONNECTED, WorkerState.STOPPED}
    assert _healthy("worker", tmp_path) == (1 if state in lost else 0)


def test_every_worker_of_a_container_has_to_be_connected(tmp_path: Path) -> None:
    """A container is unhealthy if one of its two workers has lost the broker."""
    _worker(tmp_path, "fast-1", WorkerState.RUNNING)
    _worker(tmp_path, "fast-2", WorkerState.IDLE)
    assert _healthy("worker", tmp_path, EDGE_WORKER_NAME="fast") == 0
    _worker(tmp_path, "fast-2", WorkerState.DISCONNECTED)
    assert _healthy("worker", tmp_path, EDGE_WORKER_NAME="fast") == 1


def test_workers_that_are_named_have_to_be_connected(tmp_path: Path) -> None:
    """Each worker that WORKERS names must be connected, and no other counts."""
    _worker(tmp_path, "main", WorkerState.IDLE)
    assert _healthy("worker", tmp_path, WORKERS="main,io") == 1
    _worker(tmp_path, "io", WorkerState.RUNNING)
    assert _healthy("worker", tmp_path, WORKERS="main,io") == 0


def test_workers_that_have_retired_are_no_fault(tmp_path: Path) -> None:
    """In a container with scaled workers, a stopped worker is not a fault, but each other one must be connected."""
    _worker(tmp_path, "main", WorkerState.IDLE)
    _worker(tmp_path, "extra-1", WorkerState.STOPPED)
    assert _healthy("worker", tmp_path, WORKERS="scale") == 0
    _worker(tmp_path, "extra-2", WorkerState.DISCONNECTED)
    assert _healthy("worker", tmp_path, WORKERS="scale") == 1


@pytest.mark.parametrize(("age_s", "valid_s", "code"), [(5, 30, 0), (50, 30, 1), (5000, 0, 0)])
def test_a_governor_is_healthy_while_its_status_is_valid(
    tmp_path: Path, age_s: float, valid_s: float, code: int
) -> None:
    """A governor is healthy at any power; a status that never expires counts until the container ends."""
    assert _healthy("power", tmp_path) == 1
    status = PowerStatus(PowerState.LOW, "battery", "", monotonic=time.monotonic() - age_s, valid_s=valid_s)
    (tmp_path / "power.json").write_bytes(msgspec.json.encode(status))
    assert _healthy("power", tmp_path) == code


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
@pytest.mark.parametrize("role", ["gateway", "up"])
def test_a_gateway_is_healthy_while_it_takes_jobs(tmp_path: Path, role: str, status: int | None, code: int) -> None:
    """The answer of the gateway decides; a gateway that does not answer is unhealthy."""

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert status is not None
            self.send_response(status if self.path == "/v1/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "edge.yaml").write_text("gateway: {port: 1} # the variable takes precedence\n")
    with http.server.HTTPServer(("127.0.0.1", 0), Gateway) as server:
        port = str(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        if status is None:
            server.server_close()
            assert _healthy(role, tmp_path, EDGE_GATEWAY_PORT=port) == code
            return
        thread.start()
        try:
            assert _healthy(role, tmp_path, EDGE_GATEWAY_PORT=port, EDGE_CONFIG=str(tmp_path / "edge.yaml")) == code
            (tmp_path / "edge.yaml").write_text(f"gateway:\n  port: {port}\n")
            assert _healthy(role, tmp_path, EDGE_CONFIG=str(tmp_path / "edge.yaml")) == code
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "text",
    [
        "",
        example(),
        "gateway: {tls_cert: 'c.pem', tls_key: k.pem, port: 8421}\nrun: /elsewhere",
        'gateway: # of the LAN\n\n  # port: 1\n  port: 8421 # only\n  tls_cert: "c.pem"\n  tls_key: k\n\nroot: /x\n',
        "broker:\n  port: 5671\ngateway:\n  tls_cert: null\npower:\n  sources: []\n",
    ],
)
def test_the_health_check_reads_the_configuration_as_edge_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """From a mounted configuration the check reads the same run folder, port and use of TLS as `edge`."""
    path = tmp_path / "edge.yaml"
    path.write_text(text)
    monkeypatch.setenv("EDGE_CONFIG", str(path))
    loader = SourceFileLoader("healthy", str(REPO / "container/healthy"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    healthy = module_from_spec(spec_from_loader("healthy", loader))  # type: ignore[arg-type]
    loader.exec_module(healthy)
    config = load(path, env={}).config
    assert config.run == healthy.RUN
    assert int(healthy.setting("gateway", "port", "8420")) == config.gateway.port
    assert bool(healthy.setting("gateway", "tls_cert", "")) == (config.gateway.tls_cert is not None)


def test_what_is_no_role_is_not_healthy(tmp_path: Path) -> None:
    """A check of an unknown role fails."""
    assert _healthy("web", tmp_path) == 1


# --- the entry ----------------------------------------------------------------------------------------------

_FAKE = """\
#!/bin/sh
secret=$(cat "$EDGE_BROKER_PASSWORD_FILE" 2>/dev/null)
echo "${0##*/} $* name=$EDGE_WORKER_NAME password=$secret left=$BROKER_PASSWORD" >>"$CALLS"
[ -z "$STAY" ] || exec sleep 60
"""

_CELERY = "--app edge.worker worker --pool solo --loglevel INFO"

Entry = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """Starts `container/run` with an `edge` and a `celery` that append their command line to the file `calls`."""
    for program in ("edge", "celery"):
        (tmp_path / program).write_text(_FAKE)
        (tmp_path / program).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def start(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        base = {"PATH": path, "CALLS": str(tmp_path / "calls"), **env}
        return subprocess.Popen(["bash", str(REPO / "container/run"), *arguments], env=base)

    return start


def test_the_entry_is_edge(entry: Entry, tmp_path: Path) -> None:
    """Every command but `worker` is passed on unchanged, and the broker's password becomes a private file."""
    secret = tmp_path / "password"
    env = {"BROKER_PASSWORD": "s3cret", "EDGE_BROKER_PASSWORD_FILE": str(secret)}
    assert entry("up", "--root", "/x", env=env).wait(10) == 0
    assert (tmp_path / "calls").read_text() == "edge up --root /x name= password=s3cret left=\n"
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("env", "calls"),
    [
        ({}, [f"edge worker name={NAME}"]),
        ({"EDGE_WORKER_NAME": "sun", "WORKERS": "1"}, ["edge worker name=sun"]),
        ({"WORKERS": "2"}, [f"edge worker name={NAME}-1", f"edge worker name={NAME}-2"]),
        (
            {"WORKERS": "auto"},
            [f"edge worker name={NAME}-{n + 1}" for n in range(cpus)]
            if (cpus := len(os.sched_getaffinity(0))) > 1
            else [f"edge worker name={NAME}"],
        ),
        ({"WORKERS": "scale"}, ["edge worker --all name="]),
        ({"WORKERS": "main,io"}, ["edge worker name=io", "edge worker name=main"]),
        (
            {"WORKERS": "main, io", "QUEUES": "edge.always,edge.io.always"},
            [
                f"celery {_CELERY} --hostname {n}@%h --queues edge.always,edge.io.always name={n}"
                for n in ("io", "main")
            ],
        ),
        (
            {"EDGE_WORKER_NAME": "sun", "QUEUES": "edge.always"},
            [f"celery {_CELERY} --hostname sun@%h --queues edge.always name=sun"],
        ),
    ],
)
def test_as_many_workers_as_asked_for(entry: Entry, tmp_path: Path, env: dict[str, str], calls: list[str]) -> None:
    """Each worker has a name that no other container has; SIGTERM ends them all with exit code 0."""
    process = entry("worker", env={"STAY": "yes", **env})
    try:
        deadline = time.monotonic() + 10
        path = tmp_path / "calls"
        while not path.exists() or len(path.read_text().splitlines()) < len(calls):
            assert time.monotonic() < deadline, path.read_text() if path.exists() else "nothing was started"
            time.sleep(0.02)
        assert sorted(line.partition(" password=")[0] for line in path.read_text().splitlines()) == calls
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(10)
    assert code == (0 if len(calls) > 1 else -signal.SIGTERM)  # a single worker replaces the shell, so its end shows


def test_one_worker_that_ends_takes_the_others_along(entry: Entry) -> None:
    """The container ends, so that its restart starts all workers."""
    assert entry("worker", env={"WORKERS": "3"}).wait(10) == 0
