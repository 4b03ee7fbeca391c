"""Solar forecasts from outside the board: from a file, a program's output, or an MQTT topic.

All three deliver the same JSON document. None of them wakes the governor. It asks for a forecast when it takes a
sample.
"""

from __future__ import annotations

import math
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.config.forecast import ExternalConfig
from edge.config.mqtt import MqttBroker
from edge.core.errors import not_none
from edge.power.forecast.outside import Hours, parse
from edge.power.inputs.command import Command, NotYet
from edge.power.inputs.reading import Unreadable

if TYPE_CHECKING:
    from edge.mqtt.connection import Connection, Received

_LOOK_S = 600.0  # shortest time between two checks of a file, or between two messages that are used
_RUN_S = 3600.0  # shortest time between two runs of a program
_MAX_BYTES = 65_536
_LONGEST_SHOWN = 200


class NoForecast(ValueError):
    """The document that came is not a valid forecast. The text names its origin and the error, in one line."""


class Elsewhere(Protocol):
    """An origin of forecasts. The governor's thread calls it; each call returns within about a quarter of a second."""

    def take(self, now_s: float) -> Hours | None:
        """Return a new forecast, or None if no new one came by `now_s` (monotonic seconds). Raises NoForecast."""
        ...

    def close(self) -> None:
        """Release all resources. May be called twice."""
        ...


def opened(record: ExternalConfig | None, broker: MqttBroker | None, log: Callable[[str], None]) -> Elsewhere | None:
    """Return the origin that `record` configures, or None if no forecast from outside is configured.

    Args:
        record: what `power.forecast` configures about a forecast from outside, or None.
        broker: the MQTT broker of the section `mqtt`; it is used unless `record` names another one.
        log: writes one line to the journal.
    """
    if record is None:
        return None
    if record.kind == "file":
        return FileForecast(not_none(record.path, "the path of the forecast"))
    if record.kind == "command":
        return CommandForecast(record.command, timeout_s=record.timeout_s)
    topic, used = (
        not_none(record.topic, "the topic of the forecast"),
        not_none(record.broker or broker, "an MQTT broker"),
    )
    return MqttForecast(used, topic, log)


class FileForecast:
    """A forecast in a file, which is read again after it has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._looked_s, self._changed = path, -math.inf, 0.0

    def take(self, now_s: float) -> Hours | None:
        """Return the forecast if the file is new or was changed, else None. Raises NoForecast."""
        if now_s - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now_s
        try:
            found = self._path.stat()
            if found.st_mtime == self._changed:
                return None
            self._changed = 0.0  # if it cannot be read now, it counts as changed at the next check
            document = self._read()
        except OSError as err:
            raise _refused(str(self._path), err.strerror or str(err)) from err
        hours = _hours(str(self._path), document)
        self._changed = found.st_mtime
        return hours

    def _read(self) -> bytes:
        """Return the content. Never waits, as a read of a pipe would. Raises OSError, NoForecast."""
        fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _refused(str(self._path), "not a regular file")
            document = file.read(_MAX_BYTES + 1)
        if len(document) > _MAX_BYTES:
            raise _refused(str(self._path), f"more than {_MAX_BYTES >> 10} KiB")
        return document

    def close(self) -> None:
        """Do nothing: no file is held open."""


class CommandForecast:
    """A forecast that a program prints. The program runs at most once an hour.

    While it runs, each `take` checks whether it has ended.
    """

    def __init__(self, argv: tuple[str, ...], *, timeout_s: float) -> None:
        self._name, self._command = argv[0], Command(argv, timeout_s=timeout_s)
        self._began_s, self._runs = -math.inf, False

    def take(self, now_s: float) -> Hours | None:
        """Return the forecast of a program that has ended, or None. Raises NoForecast."""
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
        """Kill the program if it still runs."""
        self._runs = False
        self._command.close()


class MqttForecast:
    """A forecast on an MQTT topic. Messages arrive on the connection's thread. The last one waits for `take`."""

    def __init__(self, broker: MqttBroker, topic: str, log: Callable[[str], None]) -> None:
        self._broker, self._topic, self._log = broker, topic, log
        self._lock = threading.Lock()
        self._waiting: bytes | None = None
        self._taken_s = -math.inf
        self._connection: Connection | None = None

    def take(self, now_s: float) -> Hours | None:
        """Return the forecast of the last message once, then None until another message came. Raises NoForecast.

        The first call starts to connect in the background.
        """
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
        """Do nothing: the MQTT broker now sends the retained message, then each new one."""

    def down(self) -> None:
        """Do nothing: the last forecast stays valid for the hours that it names."""

    def confirmed(self, topic: str) -> None:
        """Do nothing: this client publishes nothing."""

    def received(self, message: Received) -> None:
        """Keep the message until the next `take`."""
        if message.topic == self._topic:
            with self._lock:
                self._waiting = message.payload

    def _connect(self) -> Connection:
        from edge.mqtt.connection import Connection  # imports paho, so only when a topic is read

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
    """Return the error with one line for the log; control characters of a program or message become spaces."""
    line = "".join(each if each.isprintable() else " " for each in why)[:_LONGEST_SHOWN]
    return NoForecast(f"{origin}: {line}" if origin else line)
