"""The input of a source of kind `mqtt`."""

from __future__ import annotations

import time
from pathlib import Path

from edge.config.mqtt import MqttBroker
from edge.power.inputs.source import Source
from edge.power.sources.mqtt import MqttSource, MqttSourceConfig
from tests.homeassistant.mosquitto import Mosquitto
from tests.unit.power.rigs.rig import Rig, Values


class MqttRig(Rig):
    """Debian's mosquitto, and a meter that publishes JSON."""

    main = "solar_watts"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.broker = Mosquitto(folder / "mosquitto")
        self.broker.start()
        self.faults = {
            "silent": lambda: None,
            "garbled": lambda: self.send(b"\xff{"),
            "no number": lambda: self.send(b'{"meter": {"power": "warm"}}'),
            "elsewhere": lambda: self.send(b'{"meter": {"energy": 3}}'),
            "lost by its publisher": lambda: self.send(b'{"meter": {"power": "unavailable"}}'),
            "absurd": lambda: self.send(b'{"meter": {"power": 1e12}}'),
            "beyond all bounds": lambda: self.send(b'{"meter": {"power": 1e999}}'),
            "empty": lambda: self.send(b""),
        }

    def open(self) -> Source:
        broker = MqttBroker(host="127.0.0.1", port=self.broker.port)
        return MqttSource(
            MqttSourceConfig(topic="home/meter", json_path="meter.power", scale=-1.0, max_age_s=30.0, broker=broker)
        )

    def good(self) -> Values:
        self.send(b'{"meter": {"power": -420.5, "energy": 3}}')
        return {"solar_watts": (420.5, "W")}

    def send(self, payload: bytes) -> None:
        """Publish the message until the source has it, because the source may not be connected yet."""
        source = self.source
        assert isinstance(source, MqttSource)
        source.read(0.0)  # the first read connects
        before, deadline = source._last, time.monotonic() + 20
        while source._last is before:
            assert time.monotonic() < deadline
            self.broker.publish("home/meter", payload)
            time.sleep(0.02)

    def close(self) -> None:
        self.broker.stop()


RIGS: dict[str, type[Rig]] = {"mqtt": MqttRig}
