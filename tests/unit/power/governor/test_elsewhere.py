"""Tests of forecasts from outside: from a file, a program or an MQTT topic. A bad one never harms the governor."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.forecast import ExternalConfig
from edge.config.mqtt import MqttBroker
from edge.power.forecast.outside import Hours
from edge.power.governor.elsewhere import CommandForecast, Elsewhere, FileForecast, MqttForecast, NoForecast, opened
from tests.homeassistant.mosquitto import Mosquitto

START = 1_796_036_400
GOOD = f'{{"start": {START}, "watts": [0, 1.5]}}'
HOURS = {START // 3600: 0.0, START // 3600 + 1: 1.5}


def ignore(_: str) -> None:
    """Take a line of the log."""


def until(some: Elsewhere, now_s: float = 0.0) -> Hours:
    """Wait for the forecast and return it. Raises NoForecast."""
    deadline = time.monotonic() + 20
    while (hours := some.take(now_s)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return hours


def command(code: str, *arguments: str, timeout_s: float = 60.0) -> CommandForecast:
    return CommandForecast((sys.executable, "-c", code, *arguments), timeout_s=timeout_s)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
def listening(broker: Mosquitto) -> Iterator[MqttForecast]:
    some = MqttForecast(MqttBroker(host="127.0.0.1", port=broker.port), "home/solar/forecast", ignore)
    yield some
    some.close()


def test_without_a_record_nothing_is_opened() -> None:
    assert opened(None, MqttBroker(host="127.0.0.1"), ignore) is None


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (ExternalConfig(kind="file", path=Path("/f.json")), FileForecast),
        (ExternalConfig(kind="command", command=("forecast",)), CommandForecast),
        (ExternalConfig(kind="mqtt", topic="home/solar/forecast"), MqttForecast),
    ],
)
def test_each_kind_opens_what_it_says(record: ExternalConfig, kind: type) -> None:
    assert isinstance(opened(record, MqttBroker(host="127.0.0.1"), ignore), kind)


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "forecast.json"
    file.write_text(GOOD)
    some = FileForecast(file)
    assert some.take(0.0) == HOURS
    assert some.take(700.0) is None
    file.write_text(GOOD.replace("1.5", "2"))
    os.utime(file, (1.0, 1.0))
    assert some.take(800.0) is None  # ten minutes have not passed
    assert some.take(1400.0) == {START // 3600: 0.0, START // 3600 + 1: 2.0}


def test_a_pipe_in_place_of_the_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    """The governor hung in the read for ever, and no signal ended it."""
    file = tmp_path / "forecast.json"
    os.mkfifo(file)
    with pytest.raises(NoForecast, match="not a regular file"):
        FileForecast(file).take(0.0)


def test_a_file_that_is_too_large_is_named_and_not_decoded(tmp_path: Path) -> None:
    """The governor must not work on it for seconds. A program and MQTT have the same limit."""
    file = tmp_path / "forecast.json"
    file.write_text(GOOD + " " * (65_537 - len(GOOD)))
    with pytest.raises(NoForecast, match="more than 64 KiB"):
        FileForecast(file).take(0.0)
    file.write_text(GOOD + " " * (65_536 - len(GOOD)))
    assert FileForecast(file).take(0.0) == HOURS


def test_a_program_is_run_once_an_hour() -> None:
    some = command(f"print('{GOOD}')")
    assert until(some) == HOURS
    assert some.take(3599.0) is None
    assert until(some, 3600.0) == HOURS


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('[]')", f"{sys.executable}: not a forecast: Expected `object`, got `array`"),
        ('print(\'{"start": 0, "watts": [-1]}\')', f"{sys.executable}: watts[0] is -1: expected 0 to 1e+06"),
        ("import sys; sys.exit('no \\x1bkey')", f"{sys.executable}: no  key"),
        ("print('{' * 70_000)", f"{sys.executable}: wrote more than 64 KiB"),
        ("print('{\"a\":' + '[' * 50_000)", "not a forecast"),
    ],
)
def test_a_program_without_a_forecast_is_named_and_tried_an_hour_later(code: str, why: str) -> None:
    some = command(code)
    with pytest.raises(NoForecast) as caught:
        until(some)
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert some.take(3599.0) is None


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(NoForecast, match=r"/nowhere/forecast: No such file"):
        CommandForecast(("/nowhere/forecast",), timeout_s=60.0).take(0.0)


def test_a_program_that_hangs_is_killed_after_its_time() -> None:
    some = command("import time; time.sleep(600)", timeout_s=60.0)
    assert some.take(0.0) is None
    with pytest.raises(NoForecast, match="no answer for 60 s"):
        some.take(60.0)


def test_closing_kills_a_program_that_runs(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()} '); time.sleep(600)"
    some = command(code, str(mark))
    deadline = time.monotonic() + 20
    while not mark.exists() or not mark.read_text().endswith(" "):
        assert some.take(0.0) is None
        assert time.monotonic() < deadline
    some.close()
    some.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_retained_message_is_taken_once(broker: Mosquitto, listening: MqttForecast) -> None:
    broker.publish("home/solar/forecast", GOOD.encode(), retain=True)
    assert until(listening) == HOURS
    assert listening.take(3600.0) is None


@pytest.mark.parametrize("payload", [b"\xff{", b"sunny", b'{"start": 0, "watts": "many"}', b'{"a":' + b"[" * 50_000])
def test_a_message_that_is_no_forecast_names_its_topic(
    broker: Mosquitto, listening: MqttForecast, payload: bytes
) -> None:
    broker.publish("home/solar/forecast", payload, retain=True)
    with pytest.raises(NoForecast, match=r"^home/solar/forecast: not a forecast: "):
        until(listening)
    broker.publish("home/solar/forecast", GOOD.encode(), retain=True)
    assert listening.take(599.0) is None
    assert until(listening, 600.0) == HOURS
