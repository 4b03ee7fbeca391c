"""A value that somebody publishes by MQTT: a sensor of Home Assistant, a meter, the surplus of the house's panels."""

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

#: Units and what is plausible where the record gives no bounds.
_PLAUSIBLE = {
    "solar_watts": ("W", -1e6, 1e6),
    "charge": ("%", 0.0, 100.0),
    "watts": ("W", 0.0, 1e5),
    "battery_watts": ("W", -1e6, 1e6),
}
_MAX_BYTES = 16_384
#: What Home Assistant publishes of a sensor that it has lost.
_LOST = frozenset({"unavailable", "unknown", "none", ""})


class MqttSourceConfig(PowerSourceConfig, frozen=True, tag="mqtt"):
    """A value by MQTT: a sensor of Home Assistant, a meter, the surplus of the house's panels."""

    topic: Annotated[Topic, about("where it is published", example="home/solar/surplus")]
    tells: Annotated[
        Literal["solar_watts", "charge", "supply", "watts", "battery_watts"],
        about("solar_watts (surplus from policy.surplus_watts on), charge, supply, watts or battery_watts"),
    ] = "solar_watts"
    json_path: Annotated[
        Annotated[str, Meta(pattern=PATH, max_length=128)] | None,
        about("where the value stands in a JSON message, such as ENERGY.Power; null: the message is the value"),
    ] = None
    scale: Annotated[float, Meta(ge=-1e6, le=1e6), about("the value is multiplied by this: -1 turns its sign")] = 1.0
    low: Annotated[float | None, about("smallest plausible value, after scaling; below it is unknown")] = None
    high: Annotated[float | None, about("largest plausible value")] = None
    max_age_s: Annotated[
        float,
        Meta(ge=1, le=86_400),
        about("a value older than this is unknown; choose more than the time between two messages"),
    ] = 300.0
    retained: Annotated[
        bool, about("true: also believe what the MQTT broker had kept from before, which may be of any age")
    ] = False
    broker: Annotated[
        MqttBroker | None,
        about("another MQTT broker; null: that of the section mqtt", example={"host": "homeassistant.local"}),
    ] = None

    def check(self, key: str) -> None:
        """Raise ConfigError where there is no MQTT broker, or bounds that cross."""
        if self.scale == 0:
            raise ConfigError(f"{key}.scale", self.scale, "0 makes every value 0")
        if self.broker is None:
            raise ConfigError(f"{key}.broker", None, "name the MQTT broker: mqtt.host, or `broker: {host: ...}` here")
        low, high = self.bounds
        if not low < high:
            raise ConfigError(f"{key}.low", self.low, f"must be below {key}.high ({high:g})")

    def beside(self, mqtt: MqttConfig) -> Self:
        """The same with the MQTT broker of the section `mqtt`, where it names no other one."""
        return self if self.broker is not None else msgspec.structs.replace(self, broker=mqtt.broker)

    def absolute(self, base: Path) -> Self:
        """The same record with relative paths taken from `base`."""
        return self if self.broker is None else msgspec.structs.replace(self, broker=self.broker.absolute(base))

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high) of what is plausible."""
        _, low, high = _PLAUSIBLE.get(self.tells, ("", 0.0, 1.0))
        return (low if self.low is None else self.low), (high if self.high is None else self.high)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """The one that it tells; a message holds until it is too old."""
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
        return (quantity.decides(msgspec.structs.replace(quantity.criterion, holds_s=self.max_age_s)),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> MqttSource:
        """The source."""
        return MqttSource(self, notify=notify)


class _Said(msgspec.Struct, frozen=True):
    """The last message: its value, or why it has none, and when it came (monotonic)."""

    at: float
    value: float | None
    fault: str = ""


class MqttSource:
    """Reads the value of the last message, as old as it is. Messages come on the connection's thread.

    `notify` is called for the first value after none: between two of them the next sample is early enough.
    """

    def __init__(self, record: MqttSourceConfig, *, notify: Callable[[], None] = lambda: None) -> None:
        self.name, self._record, self._notify = record.label, record, notify
        self._unit = _PLAUSIBLE.get(record.tells, ("", 0.0, 1.0))[0]
        self._lock = threading.Lock()
        self._said: _Said | None = None
        self._read: tuple[_Said, float] | None = None  # the message that was read last, and when it came by that clock
        self._jump = JumpCheck()
        self._connection: Connection | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """The value of now; the first read connects, in the background."""
        if self._connection is None:
            self._connection = self._connect()
        with self._lock:
            said = self._said
        record = self._record
        if said is None:
            return (self._unknown(f"{self._connection.why or 'nothing was published yet'}"),)
        if self._read is None or self._read[0] is not said:
            self._read = said, now - (time.monotonic() - said.at)
        age_s = max(0.0, now - self._read[1])
        if said.value is None:
            return (self._unknown(said.fault, age_s),)
        if age_s > record.max_age_s:
            why = f"nothing for {age_s:.0f} s, max_age_s is {record.max_age_s:g}"
            lost = f" ({self._connection.why})" if self._connection.why else ""
            return (self._unknown(f"{why}{lost}", age_s),)
        if record.tells == "charge" and (doubt := self._jump.check(now, said.value)):
            return (self._unknown(doubt, age_s),)
        return (known(self.name, record.tells, said.value, self._unit, age_s=age_s),)

    def close(self) -> None:
        """Disconnect; a later read connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        with self._lock:
            self._said = None

    # ---- on the connection's thread ----

    def up(self) -> None:
        """The broker sends what is published from now on."""

    def down(self) -> None:
        """The last value stays until it is too old."""

    def confirmed(self, topic: str) -> None:
        """Nothing is published."""

    def received(self, message: Received) -> None:
        """Keep the value of a message."""
        if message.topic != self._record.topic or (message.retained and not self._record.retained):
            return
        try:
            said = _Said(time.monotonic(), self._value(message.payload))
        except BadPayload as err:
            said = _Said(time.monotonic(), None, str(err))
        with self._lock:
            first = self._said is None or self._said.value is None
            self._said = said
        if first and said.value is not None:
            self._notify()

    # ---- inside ----

    def _value(self, payload: bytes) -> float:
        record = self._record
        found = value(payload, record.json_path or "")
        if found is None or (isinstance(found, str) and found.strip().lower() in _LOST):
            raise BadPayload(f"its publisher says {found or 'nothing'}")
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
        from edge.mqtt.connection import Connection  # with paho: only where such a source is read

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
    """One line in the governor's journal."""
    sys.stderr.write(f"edge power: {name}: MQTT broker {line}\n")
    sys.stderr.flush()
