"""Remembers what MQTT brokers keep of this board. It is on the disk before it is published, so that it can be removed.

A broker keeps retained messages forever, and Home Assistant keeps a device until its discovery document is removed.
Configurations change: an entity is dropped, the board gets another name, the house gets another broker, or the section
`mqtt` is removed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.config.mqtt import MqttBroker
from edge.core import durable, stored
from edge.gateway.mqtt.entities import Topics

_MACHINE_ID = Path("/etc/machine-id")
_MOST_OLD = 8  # largest number of former places that are remembered; beyond that the oldest is forgotten


class Place(msgspec.Struct, frozen=True):
    """A broker and the topics that the board uses there. It has the path of the password file, not the password."""

    broker: MqttBroker
    topics: Topics

    @property
    def where(self) -> tuple[str, int, Topics]:
        """The identity of the place: host, port and topics."""
        return self.broker.host, self.broker.tcp_port, self.topics


class Announced(msgspec.Struct, frozen=True):
    """Everything that MQTT brokers keep of this board, and what must still be removed from them.

    A component is an entity in the discovery document. The mappings give the platform of each component by its key.
    """

    device: str  # the id of the board in discovery
    place: Place | None = None  # the present place; None if no broker is configured
    components: Mapping[str, str] = {}  # components that were announced to Home Assistant
    removed: Mapping[str, str] = {}  # dropped components, until a Home Assistant that has just started got the removal
    seen: tuple[str, ...] = ()  # quantities that power sources reported without declaring them
    sources: str = ""  # hash of the configuration of the power sources to which `seen` belongs
    old: tuple[Place, ...] = ()  # former places, where retained messages must still be removed
    format: int = 1

    def at(self, place: Place | None) -> Announced:
        """Return a copy with this place, where nothing counts as announced yet.

        The former place must be cleaned up from now on. If it is the same place, only the way to reach it changes.
        """
        if self.place is not None and place is not None and self.place.where == place.where:
            return msgspec.structs.replace(self, place=place)
        old = tuple(each for each in self.old if place is None or each.where != place.where)
        if self.place is not None:
            old = (*old, self.place)[-_MOST_OLD:]
        return msgspec.structs.replace(self, place=place, components={}, removed={}, old=old)

    def showing(self, components: Mapping[str, str]) -> Announced:
        """Return a copy with these components. Earlier components that are missing become `removed`."""
        gone = {key: value for key, value in {**self.removed, **self.components}.items() if key not in components}
        return msgspec.structs.replace(self, components=dict(components), removed=gone)

    def without(self, place: Place) -> Announced:
        """Return a copy in which this former place has been cleaned up."""
        return msgspec.structs.replace(self, old=tuple(each for each in self.old if each.where != place.where))

    def knowing(self, sources: str, seen: Iterable[str]) -> Announced:
        """Return a copy with further reported quantities.

        Args:
            sources: hash of the configuration of the power sources. With another hash, earlier quantities are dropped.
            seen: quantities that these sources reported without declaring them.
        """
        before = self.seen if sources == self.sources else ()
        return msgspec.structs.replace(self, sources=sources, seen=tuple(sorted({*before, *seen})))


class AnnouncedFile:
    """Reads and writes `mqtt.json` under the state root. Not thread-safe: calls must not overlap."""

    def __init__(self, path: Path, *, machine_id: Path = _MACHINE_ID) -> None:
        self._path, self._machine_id = path, machine_id
        self._written: Announced | None = None

    def read(self) -> Announced:
        """Return the content of the file. If it is missing or damaged, return a record with the board's id only."""
        try:
            self._written = stored.read(self._path, Announced, hook=_path)
        except (OSError, stored.BadContent):
            return Announced(device_id(self._path, self._machine_id))
        return self._written

    def write(self, announced: Announced) -> None:
        """Write the record durably, or remove the file if there is no present or former place. Raises OSError."""
        if announced == self._written:
            return
        if announced.place is None and not announced.old:
            self._path.unlink(missing_ok=True)
        else:
            durable.replace(self._path, msgspec.json.encode(announced, enc_hook=str))
        self._written = announced


def device_id(path: Path, machine_id: Path = _MACHINE_ID) -> str:
    """Return an id for this board that no other board has and that is the same after each start.

    The machine id must not leave the machine, so this is a hash of the machine id and of `path`. On a machine without
    an id it is random. It still stays the same, because `mqtt.json` contains it.
    """
    try:
        machine = machine_id.read_text().strip()
    except OSError:
        machine = ""
    return f"edge_{sha256(f'{machine or secrets.token_hex(16)} {path} mqtt'.encode()).hexdigest()[:12]}"


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise ValueError("expected a path")
    return Path(value)
