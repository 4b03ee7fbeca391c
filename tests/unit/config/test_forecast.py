"""`power.forecast.outside` names the source of an external forecast, and contradictions are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load
from edge.config.forecast import ExternalConfig
from edge.core.errors import ConfigError


def loaded(tmp_path: Path, forecast: str, more: str = "") -> ExternalConfig | None:
    file = tmp_path / "edge.yaml"
    file.write_text(f"power: {{forecast: {{{forecast}}}}}\n{more}")
    return load(file, {}).config.power.forecast.external


@pytest.mark.parametrize("forecast", ["file: sun.json", "outside: {kind: file, path: sun.json}"])
def test_both_keys_of_a_file_mean_the_same(tmp_path: Path, forecast: str) -> None:
    assert loaded(tmp_path, forecast) == ExternalConfig(kind="file", path=tmp_path / "sun.json")


def test_nothing_is_asked_without_either_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") is None


def test_a_topic_uses_the_broker_of_the_house(tmp_path: Path) -> None:
    assert loaded(tmp_path, "outside: {kind: mqtt, topic: sun}", "mqtt: {host: broker.local}\n") is not None


@pytest.mark.parametrize(
    ("forecast", "key"),
    [
        ("outside: {kind: mqtt, topic: sun}", "power.forecast.outside.broker"),
        ("outside: {kind: mqtt}", "power.forecast.outside.topic"),
        ("outside: {kind: mqtt, topic: 'sun/#'}", "power.forecast.outside.topic"),
        ("outside: {kind: command}", "power.forecast.outside.command"),
        ("outside: {kind: command, command: ['']}", "power.forecast.outside.command"),
        ("outside: {kind: command, command: [bin/sun]}", "power.forecast.outside.command"),
        ("outside: {kind: command, command: [sun], timeout_s: 0}", "power.forecast.outside.timeout_s"),
        ("outside: {kind: file}", "power.forecast.outside.path"),
        ("outside: {kind: file, path: a, topic: sun}", "power.forecast.outside.topic"),
        ("outside: {kind: pigeon}", "power.forecast.outside.kind"),
        ("outside: {}", "power.forecast.outside.kind"),
        ("file: a, outside: {kind: file, path: b}", "power.forecast.file"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, forecast: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, forecast)
    assert caught.value.key == key
