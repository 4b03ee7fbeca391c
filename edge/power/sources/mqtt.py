"""Reads a value that is published by MQTT: a sensor of Home Assistant, a meter, the surplus of the house's panels."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.mqtt import MqttBroker, MqttConfig, Topic
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.mqtt.payload import PATH, BadPayload, number, switch, value
from edge.power.inputs.doubt import JumpCheck
from edge.power.inputs.quantity import BATTERY_WATTS, WATTS, Quantity, charge, solar_watts, supply
from edge.power.inputs.reading import Reading, known, unknown
from edge.power.inputs.source import PowerSourceConfig

if TYPE_CHECKING:
    from edge.mqtt.connection import Connection, Received

#: Unit, and smallest and largest plausible value if the record sets no bounds.
_PLAUSIBLE = {
    "solar_watts": ("W", -1e6, 1e6),
    "charge": ("%", 0.0, 100.0),
    "watts": ("W", 0.0, 1e5),
    "battery_watts": ("W", -1e6, 1e6),
}
_MAX_BYTES = 16_384
#: Values that Home Assistant publishes for a sensor that it has lost.
_LOST = frozenset({"unavailable", "unknown", "none", ""})


class MqttSourceConfig(PowerSourceConfig, frozen=True, tag="mqtt"):
    """A value by MQTT: a sensor of Home Assistant, a meter, the surplus of the house's panels."""

    topic: Annotated[Topic, about("topic of the value", example="home/solar/surplus")]
    tells: Annotated[
        Literal["solar_watts", "charge", "supply", "watts", "battery_watts"],
        about("what the value means; solar_watts counts as surplus from power.policy.surplus_watts on"),
    ] = "solar_watts"
    json_path: Annotated[
        Annotated[str, Meta(pattern=PATH, max_length=128)] | None,
        about("path of the value in a JSON message, such as ENERGY.Power; null: the message is the value"),
    ] = None
    scale: Annotated[float, Meta(ge=-1e6, le=1e6), about("the value is multiplied by this: -1 changes its sign")] = 1.0
    low: Annotated[float | None, about("smallest plausible value, after scaling; below it is unknown")] = None
    high: Annotated[float | None, about("largest plausible value")] = None
    max_age_s: Annotated[
        float,
        Meta(ge=1, le=86_400),
        about("a value older than this is unknown; choose more than the time between two messages"),
    ] = 300.0
    retained: Annotated[bool, about("true: also use the retained message, which may be of any age")] = False
    broker: Annotated[
        MqttBroker | None,
        about("another MQTT broker; null: that of the section mqtt", example={"host": "homeassistant.local"}),
    ] = None

    def check(self, key: str) -> None:
        """Raise ConfigError if there is no MQTT broker, if `scale` is 0, or if `low` is not below `high`."""
        if self.scale == 0:
            raise ConfigError(f"{key}.scale", self.scale, "0 makes every value 0")
        if self.broker is None:
            raise ConfigError(f"{key}.broker", None, "name the MQTT broker: mqtt.host, or `broker: {host: ...}` here")
        low, high = self.bounds
        if not low < high:
            raise ConfigError(f"{key}.low", self.low, f"must be below {key}.high ({high:g})")

    def with_mqtt_defaults(self, mqtt: MqttConfig) -> Self:
        """Return the same record; if it names no MQTT broker, it gets that of the section `mqtt`."""
        return self if self.broker is not None else msgspec.structs.replace(self, broker=mqtt.broker)

    def absolute(self, base: Path) -> Self:
        """Return the same record with relative paths resolved against `base`."""
        return self if self.broker is None else msgspec.structs.replace(self, broker=self.broker.absolute(base))

    @property
    def bounds(self) -> tuple[float, float]:
        """(smallest, largest) plausible value."""
        _, low, high = _PLAUSIBLE.get(self.tells, ("", 0.0, 1.0))
        return (low if self.low is None else self.low), (high if self.high is None else self.high)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantity that `tells` names. A message counts as new until it is older than `max_age_s`."""
        found: dict[str, Quantity] = {
            "solar_watts": solar_watts(power),
            "charge": charge(power),
            "supply": supply(power),
            "watts": WATTS,
            "battery_watts": BATTERY_WATTS,
        }
        quantity = found[self.tells]
        if quantity.criterion is None:
            return (quantity,)
        return (quantity.with_criterion(msgspec.structs.replace(quantity.criterion, holds_s=self.max_age_s)),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> MqttSource:
        """Open the source."""
        return MqttSource(self, notify=notify)


class _Message(msgspec.Struct, frozen=True):
    """The last message: its value, or the reason why it has none."""

    at: float  # when it came, by CLOCK_MONOTONIC
    value: float | None
    fault: str = ""


class MqttSource:
    """Reads the value of the last message, with its age.

    The governor's thread reads. Messages arrive on the connection's thread. That thread calls `notify` only when a
    value comes after a time without one; any other value can wait for the next sample.
    """

    def __init__(self, record: MqttSourceConfig, *, notify: Callable[[], None] = lambda: None) -> None:
        self.name, self._record, self._notify = record.label, record, notify
        self._unit = _PLAUSIBLE.get(record.tells, ("", 0.0, 1.0))[0]
        self._lock = threading.Lock()
        self._last: _Message | None = None
        # The message that was read last, and when it came by the clock of `read`.
        self._read: tuple[_Message, float] | None = None
        self._jump = JumpCheck()
        self._connection: Connection | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the value of the last message. The first read starts to connect in the background."""
        if self._connection is None:
            self._connection = self._connect()
        with self._lock:
            last = self._last
        record = self._record
        if last is None:
            return (self._unknown(f"{self._connection.why or 'nothing was published yet'}"),)
        if self._read is None or self._read[0] is not last:
            self._read = last, now - (time.monotonic() - last.at)
        age_s = max(0.0, now - self._read[1])
        if last.value is None:
            return (self._unknown(last.fault, age_s),)
        if age_s > record.max_age_s:
            why = f"no message for {age_s:.0f} s, max_age_s is {record.max_age_s:g}"
            lost = f" ({self._connection.why})" if self._connection.why else ""
            return (self._unknown(f"{why}{lost}", age_s),)
        if record.tells == "charge" and (doubt := self._jump.check(now, last.value)):
            return (self._unknown(doubt, age_s),)
        return (known(self.name, record.tells, last.value, self._unit, age_s=age_s),)

    def close(self) -> None:
        """Disconnect; a later read connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        with self._lock:
            self._last = None

    # ---- on the connection's thread ----

    def up(self) -> None:
        """Do nothing: the MQTT broker now sends each new message."""

    def down(self) -> None:
        """Do nothing: the last value stays until it is too old."""

    def confirmed(self, topic: str) -> None:
        """Do nothing: this client publishes nothing."""

    def received(self, message: Received) -> None:
        """Keep the value of a message."""
        if message.topic != self._record.topic or (message.retained and not self._record.retained):
            return
        try:
            last = _Message(time.monotonic(), self._value(message.payload))
        except BadPayload as err:
            last = _Message(time.monotonic(), None, str(err))
        with self._lock:
            first = self._last is None or self._last.value is None
            self._last = last
        if first and last.value is not None:
            self._notify()

    # ---- inside ----

    def _value(self, payload: bytes) -> float:
        """Return the value of a message, scaled. Raises BadPayload."""
        record = self._record
        found = value(payload, record.json_path or "")
        if found is None or (isinstance(found, str) and found.strip().lower() in _LOST):
            raise BadPayload(f"its publisher has no value ({found or 'nothing'})")
        if record.tells == "supply":
            return float(switch(found))
        result = number(found) * record.scale
        low, high = record.bounds
        if not low <= result <= high:
            raise BadPayload(f"absurd ({result:g}, plausible is {low:g} to {high:g})")
        return result

    def _unknown(self, why: str, age_s: float = 0.0) -> Reading:
        return unknown(self.name, self._record.tells, f"{self._record.topic}: {why}", self._unit, age_s=age_s)

    def _connect(self) -> Connection:
        from edge.mqtt.connection import Connection  # imports paho, so only a board with such a source loads it

        record = self._record
        if record.broker is None:
            raise ConfigError("broker", None, "name the MQTT broker")
        connection = Connection(
            record.broker,
            self,
            topics=(record.topic,),
            with_retained=record.retained,
            max_bytes=_MAX_BYTES,
            note=lambda line: _note(self.name, line),
        )
        connection.start()
        return connection


def _note(name: str, line: str) -> None:
    """Write one line to the governor's journal."""
    sys.stderr.write(f"edge power: {name}: MQTT broker {line}\n")
    sys.stderr.flush()
