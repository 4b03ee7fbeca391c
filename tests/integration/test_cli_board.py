"""The commands for the board itself: configuration, tokens, doctor, and services that cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.broker.topology import declare, open_channel
from edge.cli.board.checks import parts
from edge.cli.main import main
from edge.config import BrokerConfig, Config
from edge.ledger.writer import LedgerWriter
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.running_gateway import StartGateway

EDGE = os.fspath(Path(sys.executable).with_name("edge"))


@pytest.fixture(autouse=True)
def nothing_of_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all settings of the caller."""
    for name in [name for name in os.environ if name.startswith("EDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Run a command, and return its stdout, or its stderr if it must fail."""
    capsys.readouterr()
    assert main(arguments) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


# ---- config ----


def test_config_example_is_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output of `edge config example` is a valid configuration."""
    (tmp_path / "mine.yaml").write_text(output(capsys, "config", "example"))
    assert output(capsys, "--config", "mine.yaml", "config", "check") == "ok: mine.yaml\n"


def test_config_show_tells_value_and_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`edge config show` shows for every key if its value is the default, from the file or from a variable."""
    (tmp_path / "mine.yaml").write_text("gateway: {port: 8500}")
    monkeypatch.setenv("EDGE_CONFIG", "mine.yaml")
    monkeypatch.setenv("EDGE_GATEWAY_HOST", "0.0.0.0")
    rows = {row["key"]: row for row in json.loads(output(capsys, "config", "show", "--json"))}
    assert rows["gateway.port"] == {"key": "gateway.port", "value": 8500, "origin": "mine.yaml"}
    assert rows["gateway.host"]["origin"] == "EDGE_GATEWAY_HOST"
    assert rows["worker.name"]["origin"] == "default"
    table = output(capsys, "config", "show")
    assert len(table.splitlines()) == len(rows) + 1
    assert output(capsys, "config", "check") == "ok: mine.yaml, and EDGE_GATEWAY_HOST\n"


@pytest.mark.parametrize(
    "arguments", ["config check", "config show", "worker", "gateway", "power", "token list", "pause"]
)
def test_a_bad_configuration_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    """Every command that reads a bad configuration prints one line and exits with 2."""
    (tmp_path / "bad.yaml").write_text("gateway: {port: 0}")
    line = output(capsys, *arguments.split(), "--config", "bad.yaml", code=2)
    assert line == "edge: bad.yaml: gateway.port = 0: expected a whole number from 1 to 65535\n"


# ---- services ----


def test_a_port_in_use_is_one_line_and_exit_3(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """The second gateway prints one line and exits with 3; the running one is not affected."""
    gateway = start_gateway(make_config())
    other = {"root": "other", "run": "other-run", "gateway": {"port": gateway.port}}
    Path("other.yaml").write_text(yaml.safe_dump(other))
    done = subprocess.run(
        [EDGE, "--config", "other.yaml", "gateway"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3, done.stderr
    assert f"{gateway.port}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_up_without_a_broker_program_is_one_line(tmp_path: Path) -> None:
    """`edge up` without RabbitMQ says what is missing and how to install it."""
    done = subprocess.run(
        [EDGE, "up", "--root", "state", "--rabbitmq-server", "/nonexistent/rabbitmq-server"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert "rabbitmq-server" in done.stderr
    assert "Traceback" not in done.stderr


# ---- doctor ----


def findings(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> list[dict[str, Any]]:
    """Run `edge doctor --json`, and return its lines."""
    capsys.readouterr()
    assert main([*arguments, "doctor", "--json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_doctor_elsewhere_checks_the_client_only(
    make_config: MakeConfig,
    start_gateway: StartGateway,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a laptop, which has no ledger, doctor checks only that the gateway answers."""
    gateway = start_gateway(make_config())
    monkeypatch.setenv("EDGE_URL", f"http://127.0.0.1:{gateway.port}")
    assert {finding["part"] for finding in findings(capsys, code=0)} == {"config", "clock", "gateway", "tasks"}


def test_doctor_with_a_bad_configuration_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Doctor reports a bad configuration as one finding, not as an error."""
    (tmp_path / "bad.yaml").write_text("gateway: {port: 0}")
    first, *_ = findings(capsys, "--config", "bad.yaml", code=1)
    assert (first["level"], first["part"]) == ("FAIL", "config")
    assert "gateway.port = 0" in first["text"]


@pytest.mark.broker
def test_doctor_finds_a_whole_board_well(
    broker: BrokerConfig, make_config: MakeConfig, start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doctor finds all parts well, except worker and governor, which do not run here."""
    config = make_config(broker)
    start_gateway(config)
    with open_channel(config.broker) as channel:
        declare(channel)
    board = findings(capsys, "--config", "edge.yaml", code=1)
    assert {finding["part"] for finding in board if finding["level"] == "FAIL"} == {"power", "worker"}
    well = {finding["part"] for finding in board if finding["level"] == "ok"}
    assert {"config", "versions", "root folder", "run folder", "ledger", "broker", "queues", "gateway", "tasks"} <= well
    capsys.readouterr()
    assert main(["--config", "edge.yaml", "doctor"]) == 1
    text = capsys.readouterr().out
    assert "FAIL  worker" in text
    assert "\n" + " " * 28 + "-> " in text


@pytest.mark.broker
def test_doctor_misses_queues_nobody_made(broker: BrokerConfig) -> None:
    """Missing queues are a warning, because gateway and worker make them."""
    found = list(parts.broker(broker))
    assert [str(finding.level) for finding in found] == ["ok", "warn"]
    assert "edge.normal" in found[1].text


@pytest.mark.broker
def test_doctor_tells_a_wrong_password(broker: BrokerConfig, tmp_path: Path) -> None:
    """Doctor tells a wrong password from a broker that does not answer."""
    secret = tmp_path / "wrong"
    secret.write_text("wrong")
    wrong = BrokerConfig(broker.host, broker.port, broker.vhost, broker.user, secret)
    (finding,) = parts.broker(wrong)
    assert finding.level == "FAIL"
    assert "check user" in finding.advice


@pytest.mark.broker
def test_doctor_tells_a_broker_that_is_down(broker_node: PrivateNode) -> None:
    """If nothing listens, doctor says how to start a broker."""
    if broker_node.running:
        broker_node.stop()
    (finding,) = parts.broker(broker_node.config, timeout_s=3)
    assert finding.level == "FAIL"
    assert "edge up" in finding.advice


@pytest.mark.broker
def test_doctor_tells_what_the_broker_gave_up_on(broker: BrokerConfig) -> None:
    """Doctor reports messages in `edge.dead`."""
    import amqp

    with open_channel(broker) as channel:
        declare(channel)
        channel.basic_publish_confirm(amqp.Message("x"), routing_key="edge.dead")
        channel.basic_publish_confirm(amqp.Message("x"), routing_key="edge.dead")
    found = [finding for finding in parts.broker(broker) if finding.level == "warn"]
    assert len(found) == 1
    assert "edge.dead" in found[0].text


def test_doctor_reads_a_ledger_in_use(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Doctor reads a ledger in use without blocking its writer."""
    config.root.mkdir()
    ledger = LedgerWriter.open(config.layout.ledger)
    with ledger.transaction(durable=False):
        board = findings(capsys, "--config", "edge.yaml", code=1)
    ledger.close()
    assert [finding["level"] for finding in board if finding["part"] == "ledger"] == ["ok"]
