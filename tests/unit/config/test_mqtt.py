"""The section `mqtt`: which values are refused, and how an MQTT broker is reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.config import load
from edge.core.errors import ConfigError


def loaded(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> Path:
    (tmp_path / "edge.yaml").write_text(text)
    load(tmp_path / "edge.yaml", env or {})
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mqtt: {host: ''}", "mqtt.host = '': expected a name or an address, or null"),
        ("mqtt: {host: h, port: 0}", "mqtt.port = 0"),
        ("mqtt: {host: h, board: 'a/b'}", "mqtt.board = 'a/b': expected 1 to 64 of A-Z"),
        ("mqtt: {host: h, board: 'a#'}", "mqtt.board"),
        ("mqtt: {host: h, discovery_prefix: '+'}", "mqtt.discovery_prefix"),
        ("mqtt: {host: h, keepalive_s: 1}", "mqtt.keepalive_s = 1"),
        ("mqtt: {host: h, password_file: p}", "mqtt.user = None: give the user"),
        ("mqtt: {host: h, submit: {token: t, kinds: [solve]}}", "mqtt.user = None: mqtt.submit needs one"),
        ("mqtt: {submit: {token: t, kinds: [solve]}}", "mqtt.host = None: mqtt.submit needs"),
        ("mqtt: {host: h, user: u, submit: {token: t, kinds: []}}", "mqtt.submit.kinds = []"),
        ("mqtt: {host: h, user: u, submit: {kinds: [solve]}}", "mqtt.submit.token"),
        ("mqtt: {hosts: h}", "mqtt.hosts = 'h': unknown key"),
        ("power: {sources: [{kind: mqtt, topic: a}]}", "power.sources[0].broker = None: name the MQTT broker"),
        ("mqtt: {host: h}\npower: {sources: [{kind: mqtt, topic: 'a/#'}]}", "power.sources[0].topic = 'a/#'"),
        ("mqtt: {host: h}\npower: {sources: [{kind: mqtt, topic: a, scale: 0}]}", "power.sources[0].scale = 0"),
        ("mqtt: {host: h}\npower: {sources: [{kind: mqtt, topic: a, low: 5, high: 5}]}", "power.sources[0].low = 5"),
        (
            "mqtt: {host: h}\npower: {sources: [{kind: mqtt, topic: a, json_path: 'a..b'}]}",
            "power.sources[0].json_path",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    """One line names the key, its value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_takes_the_broker_of_the_section(tmp_path: Path) -> None:
    """It takes the paths of the section too. A source that names another broker keeps that one."""
    text = (
        "mqtt: {host: h, user: u, password_file: secret}\n"
        "power: {sources: [{kind: mqtt, topic: a}, {kind: mqtt, name: b, topic: b, broker: {host: other, tls_ca: ca}}]}"
    )
    loaded(tmp_path, text)
    own, other = (source.broker for source in load(tmp_path / "edge.yaml", {}).config.power.sources)  # type: ignore[attr-defined]
    assert (own.address, own.password_file) == ("h:1883", tmp_path / "secret")
    assert (other.address, other.tls_ca) == ("other:8883", tmp_path / "ca")


def test_variables_name_it_too(tmp_path: Path) -> None:
    """The units of an appliance set the broker by variables."""
    (tmp_path / "edge.yaml").write_text("{}")
    env = {"EDGE_MQTT_HOST": "::1", "EDGE_MQTT_USER": "123", "EDGE_MQTT_PASSWORD_FILE": "/run/credentials/x"}
    broker = load(tmp_path / "edge.yaml", env).config.mqtt.broker
    assert broker is not None
    assert (broker.address, broker.user, broker.local) == ("[::1]:1883", "123", True)
    with pytest.raises(ConfigError, match=r"/run/credentials/x"):
        broker.password()


def test_without_a_host_there_is_none(tmp_path: Path) -> None:
    """Without `host` there is no broker, even if other keys are set."""
    (tmp_path / "edge.yaml").write_text("mqtt: {board: attic}")
    assert load(tmp_path / "edge.yaml", {}).config.mqtt.broker is None


@pytest.mark.parametrize("number", range(3))
def test_each_example_of_the_page_can_be_used(tmp_path: Path, number: int) -> None:
    """The examples in `docs/how-to/home-assistant.md` can be used without a change."""
    page = (Path(__file__).parents[3] / "docs/how-to/home-assistant.md").read_text()
    examples = re.findall(r"<!-- test: edge.yaml -->\n```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    loaded(tmp_path, examples[number])
