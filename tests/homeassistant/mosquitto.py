"""A real MQTT broker, private to a test."""

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
    """The path of a program of mosquitto; without it a test is skipped on a laptop, and fails in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        why = f"{name} is not installed: .ci/setup test"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


class Mosquitto:
    """One broker on a port of its own; `start` and `stop` may follow one another."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        lines: Sequence[str] = (),
        keeps: bool = False,
    ) -> None:
        """Describe a broker.

        Args:
            folder: where its files go.
            users: passwords by name; without any, everybody is let in.
            acl: its access list.
            lines: further lines of its configuration.
            keeps: whether retained messages outlive a stop.
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
        """Start, and wait until it takes connections."""
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
        """End it, cleanly or by SIGKILL; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait(_STARTS_S)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
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
        """One message, confirmed by the broker."""
        client = paho.Client(CallbackAPIVersion.VERSION2)
        if user:
            client.username_pw_set(user, password)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def retained(self) -> dict[str, bytes]:
        """Everything that the broker keeps."""
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
