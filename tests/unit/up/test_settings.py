"""The `edge.yaml` that the first `edge up` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.errors import ConfigError
from edge.up.broker import rabbitmq
from edge.up.settings import overrides, settings


def test_the_first_start_writes_a_file_that_keeps_all_state_under_the_root(tmp_path: Path) -> None:
    """Root, run folder and password are below the folder of the file. The ports are consecutive."""
    root = tmp_path / "edge"
    config = settings(root, env={}).config
    assert (config.root, config.run) == (root, root / "run")
    assert config.broker.password_file == root / "broker" / "password"
    assert (config.gateway.port, config.broker.port) == (8420, 8421)
    assert config.gateway.loopback_without_token
    assert config.gateway.host == "127.0.0.1"


def test_critical_power_leaves_this_computer_on(tmp_path: Path) -> None:
    """`edge power simulate critical` does not power off a laptop. The configuration of an appliance differs here."""
    assert settings(tmp_path, env={}).config.power.critical.dry_run


def test_changes_of_a_person_stay(tmp_path: Path) -> None:
    """The second start reads the file and does not write it."""
    settings(tmp_path, env={})
    path = tmp_path / "edge.yaml"
    text = path.read_text().replace("name: main", "name: attic")
    path.write_text(text)
    assert settings(tmp_path, env={}).config.worker.name == "attic"
    assert path.read_text() == text


@pytest.mark.parametrize(("text", "key"), [("gateway: {port: 9000}\n", "root"), ("root: .\n", "run")])
def test_a_file_that_does_not_say_where_state_lies_is_refused(tmp_path: Path, text: str, key: str) -> None:
    """The default is the folder of an appliance, not the requested one."""
    (tmp_path / "edge.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"^{key} = .*add `{key}: "):
        settings(tmp_path, env={})
    assert (
        settings(tmp_path, env={"EDGE_ROOT": str(tmp_path), "EDGE_RUN": str(tmp_path / "run")}).config.root == tmp_path
    )


def test_a_port_on_the_command_line_wins_for_this_run(tmp_path: Path) -> None:
    """The command line overrides the file and the environment. The file is not changed."""
    settings(tmp_path, port=9000, env={})
    assert settings(tmp_path, env={}).config.gateway.port == 9000
    assert settings(tmp_path, port=9500, env={"EDGE_GATEWAY_PORT": "9400"}).config.gateway.port == 9500
    assert settings(tmp_path, env={}).config.gateway.port == 9000
    assert overrides(None, 7000) == {"EDGE_BROKER_PORT": "7000"}


def test_a_root_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    """The error is one line with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="root = "):
        settings(tmp_path / "file" / "edge", env={})


def test_no_jump_of_the_clock_ends_a_wait_for_an_acknowledgement() -> None:
    """RabbitMQ measures `consumer_timeout` by the wall clock, and the clock of a board may start in 1970."""
    unit = (Path(__file__).parents[3] / "systemd" / "rabbitmq" / "rabbitmq.conf").read_text()
    for text in (unit, rabbitmq.conf(port=1, user="u", password="p")):
        values = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        assert int(values["consumer_timeout"]) > 100 * 365 * 86_400_000
