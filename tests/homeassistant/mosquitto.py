"""Runs a real MQTT broker that is private to a test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.up.broker.ports import free_ports

_STARTS_S = 20.0


def program(name: str = "mosquitto") -> str:
    """Return the path of a program of mosquitto; if it is missing, skip the test on a laptop and fail it in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        why = f"{name} is not installed: .ci/setup test"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


class Mosquitto:
    """One broker on a free port; it can be started and stopped repeatedly."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        lines: Sequence[str] = (),
        keeps: bool = False,
    ) -> None:
        """Write the configuration of a broker.

        Args:
            folder: The folder for its files.
            users: Passwords by user name. If empty, anonymous clients are accepted.
            acl: The text of its access list.
            lines: Further lines of its configuration.
            keeps: True if retained messages outlive a stop.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self._config = folder / "mosquitto.conf"
        self.log = folder / "mosquitto.log"
        text = ["user root", f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if users else 'true'}"]
        text += [f"log_dest file {self.log}", *lines]
        text += [f"persistence {'true' if keeps else 'false'}", f"persistence_location {folder}/"]
        if users:
            text.append(f"password_file {folder / 'users'}")
            (folder / "users").write_text("")
            for name, password in users.items():
                argv = [program("mosquitto_passwd"), "-b", str(folder / "users"), name, password]
                subprocess.run(argv, check=True, capture_output=True)
        if acl:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            text.append(f"acl_file {folder / 'acl'}")
        self._config.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the broker, and wait until it accepts connections."""
        argv = [program(), "-c", str(self._config)]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _STARTS_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                log = self.log.read_text() if self.log.exists() else ""
                assert self._process.poll() is None, log
                assert time.monotonic() < deadline, log
                time.sleep(0.01)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the broker by a signal; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait(_STARTS_S)

    def signal(self, number: signal.Signals) -> None:
        """Send the broker a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def publish(
        self, topic: str, payload: str | bytes, *, retain: bool = False, user: str = "", password: str = ""
    ) -> None:
        """Publish one message, and wait until the broker confirms it."""
        client = paho.Client(CallbackAPIVersion.VERSION2)
        if user:
            client.username_pw_set(user, password)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def retained(self) -> dict[str, bytes]:
        """Return all retained messages: topic -> payload."""
        found: dict[str, bytes] = {}
        ended: list[bool] = []
        client = paho.Client(CallbackAPIVersion.VERSION2)

        def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
            if message.topic == "test/end":
                ended.append(True)
            elif message.retain:
                found[message.topic] = bytes(message.payload)

        client.on_message = on_message
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.subscribe("#", qos=1)
        client.publish("test/end", b"", qos=1).wait_for_publish(10)
        deadline = time.monotonic() + 10
        while not ended and time.monotonic() < deadline:
            time.sleep(0.005)
        assert ended
        client.disconnect()
        client.loop_stop()
        return found
