"""What MQTT brokers keep of this board: remembered on disk before it is published, so that it can be removed one day.

A broker keeps retained messages for ever, and Home Assistant a device until somebody takes it back. Configurations
change: an entity goes, the board gets another name, the house another broker, or `mqtt` is taken out.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.config.mqtt import MqttBroker
from edge.core import durable
from edge.gateway.mqtt.entities import Topics

_MACHINE_ID = Path("/etc/machine-id")
_MOST_OLD = 8  # remembered places that are to be tidied up; beyond that the oldest is forgotten


class Place(msgspec.Struct, frozen=True):
    """Topics at a broker, and how it is reached. The password is not here, only where it stood."""

    broker: MqttBroker
    topics: Topics

    @property
    def where(self) -> tuple[str, int, Topics]:
        """What identifies a place: two with the same value are one."""
        return self.broker.host, self.broker.tcp_port, self.topics


class Announced(msgspec.Struct, frozen=True):
    """What MQTT brokers keep of this board now, and what is still to be removed from them."""

    device: str  # the board's id in discovery
    place: Place | None = None
    components: Mapping[str, str] = {}  # those that Home Assistant was told of, each with its platform
    removed: Mapping[str, str] = {}  # those that are gone, until a Home Assistant that has just started was told so
    seen: tuple[str, ...] = ()  # quantities that power sources reported without declaring them
    sources: str = ""  # which sources `seen` is about, as a hash of their configuration
    old: tuple[Place, ...] = ()  # places that are to be tidied up
    format: int = 1

    def at(self, place: Place | None) -> Announced:
        """The same for another place; where it was before is to be tidied up, with all that Home Assistant knew."""
        if self.place is not None and place is not None and self.place.where == place.where:
            return msgspec.structs.replace(self, place=place)
        old = tuple(each for each in self.old if place is None or each.where != place.where)
        if self.place is not None:
            old = (*old, self.place)[-_MOST_OLD:]
        return msgspec.structs.replace(self, place=place, components={}, removed={}, old=old)

    def showing(self, components: Mapping[str, str]) -> Announced:
        """The same with these components; those that it had before are removed."""
        gone = {key: value for key, value in {**self.removed, **self.components}.items() if key not in components}
        return msgspec.structs.replace(self, components=dict(components), removed=gone)

    def without(self, place: Place) -> Announced:
        """The same after a place was tidied up."""
        return msgspec.structs.replace(self, old=tuple(each for each in self.old if each.where != place.where))

    def knowing(self, sources: str, seen: Iterable[str]) -> Announced:
        """The same with what the power sources report; what other sources reported is forgotten."""
        before = self.seen if sources == self.sources else ()
        return msgspec.structs.replace(self, sources=sources, seen=tuple(sorted({*before, *seen})))


class AnnouncedFile:
    """`mqtt.json` under the state root."""

    def __init__(self, path: Path, *, machine_id: Path = _MACHINE_ID) -> None:
        self._path, self._machine_id = path, machine_id
        self._written: Announced | None = None

    def read(self) -> Announced:
        """What stands there; a file that is missing or damaged knows of nothing."""
        try:
            self._written = msgspec.json.decode(self._path.read_bytes(), type=Announced, dec_hook=_path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            return Announced(device_id(self._path, self._machine_id))
        return self._written

    def write(self, announced: Announced) -> None:
        """Write it durably; where there is no place in it, remove the file. Raises OSError."""
        if announced == self._written:
            return
        if announced.place is None and not announced.old:
            self._path.unlink(missing_ok=True)
        else:
            durable.replace(self._path, msgspec.json.encode(announced, enc_hook=str))
        self._written = announced


def device_id(path: Path, machine_id: Path = _MACHINE_ID) -> str:
    """An id that no other board has, the same after each start.

    The machine's own id must not leave the machine, so this is a hash of it and of the state's path. On a machine
    without an id it is random, and stays the same because `mqtt.json` has it.
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
