"""The forecast of somebody else: what a file holds, a program prints, or an MQTT topic says. All three are one JSON.

Nothing here wakes the governor: it asks while it takes a sample anyway.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.config.forecast import OutsideConfig
from edge.config.mqtt import MqttBroker
from edge.core.errors import given
from edge.power.forecast.outside import Hours, parse
from edge.power.inputs.command import Command, NotYet
from edge.power.inputs.reading import Unreadable

if TYPE_CHECKING:
    from edge.mqtt.connection import Connection, Received

_LOOK_S = 600.0  # shortest time between two looks at a file, or between two messages that are taken
_RUN_S = 3600.0  # shortest time between two runs of a program
_MAX_BYTES = 65_536
_LONGEST_SHOWN = 200


class NoForecast(ValueError):
    """What came is no forecast; the text names its origin and what is wrong, in one line."""


class Elsewhere(Protocol):
    """Where a forecast comes from. Called on the governor's thread; returns within about a quarter of a second."""

    def take(self, now_s: float) -> Hours | None:
        """The forecast where another one has come by `now_s` (monotonic), else None. Raises NoForecast."""
        ...

    def close(self) -> None:
        """Let everything go. May be called twice."""
        ...


def opened(record: OutsideConfig | None, broker: MqttBroker | None, log: Callable[[str], None]) -> Elsewhere | None:
    """What `record` asks for; None: no forecast from elsewhere. `broker` is that of the section `mqtt`."""
    if record is None:
        return None
    if record.kind == "file":
        return FileForecast(given(record.path, "the path of the forecast"))
    if record.kind == "command":
        return CommandForecast(record.command, timeout_s=record.timeout_s)
    topic, used = given(record.topic, "the topic of the forecast"), given(record.broker or broker, "an MQTT broker")
    return MqttForecast(used, topic, log)


class FileForecast:
    """Reads a file again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._looked_s, self._changed = path, -math.inf, 0.0

    def take(self, now_s: float) -> Hours | None:
        """The forecast of a file that is new or was changed. Raises NoForecast."""
        if now_s - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now_s
        try:
            changed = self._path.stat().st_mtime
            if changed == self._changed:
                return None
            self._changed = 0.0  # until it could be read
            hours = _hours(str(self._path), self._path.read_bytes())
        except OSError as err:
            raise _refused(str(self._path), err.strerror or str(err)) from err
        self._changed = changed
        return hours

    def close(self) -> None:
        """Nothing is held open."""


class CommandForecast:
    """Runs a program once an hour at most, and looks for its answer at each sample until it ends."""

    def __init__(self, argv: tuple[str, ...], *, timeout_s: float) -> None:
        self._name, self._command = argv[0], Command(argv, timeout_s=timeout_s)
        self._began_s, self._runs = -math.inf, False

    def take(self, now_s: float) -> Hours | None:
        """The forecast of a program that has ended. Raises NoForecast."""
        if not self._runs:
            if now_s - self._began_s < _RUN_S:
                return None
            self._began_s, self._runs = now_s, True
        try:
            output = self._command.ask(now_s)
        except NotYet:
            return None
        except Unreadable as err:
            self._runs = False
            raise _refused("", str(err)) from err
        self._runs = False
        return _hours(self._name, output)

    def close(self) -> None:
        """Kill a program that still runs."""
        self._runs = False
        self._command.close()


class MqttForecast:
    """Keeps the last message on a topic. Messages come on the connection's thread, and wait for the next sample."""

    def __init__(self, broker: MqttBroker, topic: str, log: Callable[[str], None]) -> None:
        self._broker, self._topic, self._log = broker, topic, log
        self._lock = threading.Lock()
        self._waiting: bytes | None = None
        self._taken_s = -math.inf
        self._connection: Connection | None = None

    def take(self, now_s: float) -> Hours | None:
        """The forecast of the last message, once; the first call connects, in the background. Raises NoForecast."""
        if self._connection is None:
            self._connection = self._connect()
        if now_s - self._taken_s < _LOOK_S:
            return None
        with self._lock:
            payload, self._waiting = self._waiting, None
        if payload is None:
            return None
        self._taken_s = now_s
        return _hours(self._topic, payload)

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # ---- on the connection's thread ----

    def up(self) -> None:
        """The broker sends what it has kept, and what is published from now on."""

    def down(self) -> None:
        """The last forecast stays: its hours pass by themselves."""

    def confirmed(self, topic: str) -> None:
        """Nothing is published."""

    def received(self, message: Received) -> None:
        """Keep a message until it is taken."""
        if message.topic == self._topic:
            with self._lock:
                self._waiting = message.payload

    def _connect(self) -> Connection:
        from edge.mqtt.connection import Connection  # with paho: only where a topic is read

        connection = Connection(
            self._broker,
            self,
            topics=(self._topic,),
            max_bytes=_MAX_BYTES,
            note=lambda line: self._log(f"forecast: MQTT broker {line}"),
        )
        connection.start()
        return connection


def _hours(origin: str, document: bytes | str) -> Hours:
    try:
        return parse(document)
    except ValueError as err:
        raise _refused(origin, str(err)) from err


def _refused(origin: str, why: str) -> NoForecast:
    """The one line of the log, without control characters whatever a program or a message says."""
    line = "".join(each if each.isprintable() else " " for each in why)[:_LONGEST_SHOWN]
    return NoForecast(f"{origin}: {line}" if origin else line)
