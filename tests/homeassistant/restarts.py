"""Restarts MQTT broker, gateway and listener many times, and measures how long all entities take to come back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edge.up.broker.ports import free_ports
from tests.homeassistant.listener import Listener, until
from tests.homeassistant.mosquitto import Mosquitto

#: The product promises that all entities are back within this time.
WITHIN_S = 10.0
_PATIENCE_S = 60.0
_ENTITIES = 18  # number of entities of a board with a plain supply
_PARTS = ("broker", "gateway", "listener")


class GatewayProcess:
    """A real gateway process as a unit starts it, but without RabbitMQ."""

    def __init__(self, folder: Path, mosquitto: Mosquitto) -> None:
        self._config, self.log = folder / "edge.yaml", folder / "gateway.log"
        self._mosquitto, self._folder = mosquitto, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.ports = free_ports(2)
        self.configure()

    def configure(self, **mqtt: object) -> None:
        """Write its configuration, with further keys for the section `mqtt`."""
        spare, port = self.ports
        tree = {
            "root": "state",
            "run": "run",
            "broker": {"port": spare},
            "gateway": {"port": port, "loopback_without_token": True},
            "mqtt": {"host": "127.0.0.1", "port": self._mosquitto.port, "board": "attic", **mqtt},
        }
        self._config.write_text(yaml.safe_dump(tree))

    def start(self) -> None:
        """Start the process, without waiting until it serves."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("EDGE_", "NOTIFY_", "WATCHDOG_"))}
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "edge.gateway", str(self._config)]
            self._process = subprocess.Popen(argv, stderr=log, env=env)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process by a signal; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(_PATIENCE_S)


@dataclass
class Outcome:
    """The outcome of a campaign."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    ghosts: int = 0
    left: dict[str, bytes] = field(default_factory=dict)  # messages still retained after the device was removed
    faults: list[str] = field(default_factory=list)

    @property
    def late(self) -> int:
        """The number of restarts after which entities came back later than promised."""
        return sum(each > WITHIN_S for found in self.seconds.values() for each in found)

    def lines(self) -> Iterator[str]:
        """Yield the figures as lines of text."""
        for part, found in self.seconds.items():
            ordered = sorted(found)
            if ordered:
                middle, worst = ordered[len(ordered) // 2], ordered[-1]
                yield f"{part}: {len(found)} restarts, all entities back after {middle:.2f} s, at worst {worst:.2f} s"
        yield f"later than {WITHIN_S:g} s: {self.late}; ghosts: {self.ghosts}; faults of discovery: {len(self.faults)}"
        yield f"retained messages after the device was removed: {len(self.left)}"


class Campaign:
    """Restarts the three parts, in an order and by signals that `seed` fixes."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self._random = random.Random(seed)
        self._mosquitto = Mosquitto(folder / "mosquitto", keeps=seed % 2 == 0)
        self._gateway = GatewayProcess(folder, self._mosquitto)
        self._listener = Listener(self._mosquitto.port)
        self._outcome = Outcome()

    def run(self, restarts: int) -> Outcome:
        """Restart each part `restarts` times, then remove the device, and return the outcome."""
        self._mosquitto.start()
        self._gateway.start()
        self._listener.start()
        try:
            self._back()
            parts = list(_PARTS) * restarts
            self._random.shuffle(parts)
            for part in parts:
                getattr(self, f"_restart_{part}")()
                self._outcome.seconds[part].append(self._back())
                self._outcome.ghosts += len(self._listener.ghosts())
            self._take_back()
        finally:
            self._listener.stop()
            self._gateway.stop(signal.SIGKILL)
            self._mosquitto.stop(signal.SIGKILL)
        self._outcome.faults = self._listener.faults
        return self._outcome

    def _back(self) -> float:
        """Wait until every entity is ready, and return the seconds."""
        return until(lambda: self._listener.ready(least=_ENTITIES), _PATIENCE_S, self._seen)

    def _gone(self) -> None:
        """Wait until the listener has seen that entities are not ready."""
        until(lambda: not self._listener.ready(least=_ENTITIES), _PATIENCE_S, self._seen)

    def _seen(self) -> object:
        return self._listener.values(), self._gateway.log.read_text()[-2000:]

    def _signal(self) -> signal.Signals:
        return self._random.choice((signal.SIGTERM, signal.SIGKILL))

    def _restart_broker(self) -> None:
        self._mosquitto.stop(self._signal())
        self._gone()
        time.sleep(self._random.uniform(0.0, 1.0))
        self._mosquitto.start()

    def _restart_gateway(self) -> None:
        self._gateway.stop(self._signal())
        self._gone()  # the gateway itself or its last will reports it offline
        self._gateway.start()

    def _restart_listener(self) -> None:
        self._listener.stop()
        time.sleep(self._random.uniform(0.0, 0.3))
        self._listener.start()

    def _take_back(self) -> None:
        self._gateway.stop()
        self._gateway.configure(enabled=False)
        self._gateway.start()
        until(lambda: not self._listener.values(), _PATIENCE_S, self._seen)
        until(lambda: not self._mosquitto.retained(), _PATIENCE_S, self._mosquitto.retained)
        self._outcome.left = self._mosquitto.retained()
        self._outcome.ghosts += len(self._listener.ghosts())
