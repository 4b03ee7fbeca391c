"""A listener that behaves like Home Assistant's MQTT integration.

It reads the discovery topics, checks each document as Home Assistant's schema does, sets up and removes entities,
follows their states and their availability, and sends its birth message. Its registry outlives a restart, as that of
Home Assistant does. An entity that is in the registry and is no longer provided is a ghost.
"""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

_TOPIC = re.compile(r"homeassistant/(\w+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config")
_TEMPLATE = re.compile(r"\{\{ value_json\.(\w+) \}\}")
_PLATFORMS = {"sensor", "binary_sensor", "switch", "button"}
_DEVICE_KEYS = {
    "identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number",
    "sw_version", "via_device", "suggested_area", "configuration_url",
}  # fmt: skip
_ROOT_KEYS = {
    "device", "origin", "components", "state_topic", "command_topic", "qos", "encoding", "availability",
    "availability_mode", "availability_topic", "availability_template", "payload_available", "payload_not_available",
}  # fmt: skip
#: Keys of every entity; `_KEYS` adds those of each platform. Home Assistant ignores other keys; here they are faults.
_COMMON = {
    "platform", "name", "unique_id", "icon", "entity_category", "device_class", "availability_topic", "value_template",
    "state_topic",
}  # fmt: skip
_KEYS = {
    "sensor": _COMMON | {"unit_of_measurement", "state_class", "options"},
    "binary_sensor": _COMMON | {"payload_on", "payload_off"},
    "switch": _COMMON | {"command_topic", "payload_on", "payload_off"},
    "button": _COMMON | {"command_topic", "payload_press"},
}
_NEEDS = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "switch": {"command_topic"},
    "button": {"command_topic"},
}
#: Device classes with the units that Home Assistant accepts for them.
_UNITS: dict[str, set[str | None]] = {
    "battery": {"%"}, "duration": {"s", "min", "h", "d", "ms"}, "power": {"W", "kW", "mW"}, "energy": {"Wh", "kWh"},
    "temperature": {"°C", "°F", "K"}, "data_size": {"B", "kB", "MB", "GB"}, "enum": {None}, "timestamp": {None},
}  # fmt: skip


class Entity:
    """One entity: its configuration, and its value and availability since this listener started."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.value: str | None = None  # None until a value came
        self.available = "availability_topic" not in config

    @property
    def ready(self) -> bool:
        """True if a person sees a value, or can press the button."""
        return self.available and (self.value is not None or self.config["platform"] == "button")


class Listener:
    """Plays Home Assistant to one board. `start` and `stop` restart it; messages are handled on a thread of paho."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.registry: set[str] = set()  # unique ids; it outlives a restart
        self.entities: dict[tuple[str, str], Entity] = {}  # by device and component
        self.faults: list[str] = []
        self._lock = threading.RLock()
        self._client: paho.Client | None = None

    def start(self) -> None:
        """Connect, and reconnect after an outage; send the birth message at each connection, as Home Assistant does."""
        self.entities = {}
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(min_delay=1, max_delay=1)
        client.will_set("homeassistant/status", "offline", qos=0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.connect_async("127.0.0.1", self._port, 60)
        client.loop_start()

    def stop(self) -> None:
        """Close the socket without a goodbye, as after a crash."""
        client, self._client = self._client, None
        if client is not None:
            client.loop_stop()
            sock = client.socket()
            if sock is not None:
                sock.close()

    def ready(self, *, least: int = 1) -> bool:
        """Return True if there are at least `least` entities and all of them are ready."""
        with self._lock:
            return len(self.entities) >= least and all(each.ready for each in self.entities.values())

    def values(self) -> dict[str, str | None]:
        """Return the value of each entity by its component; None if no value came yet."""
        with self._lock:
            return {key: each.value for (_, key), each in self.entities.items()}

    def ghosts(self) -> set[str]:
        """Return the unique ids that are in the registry and are no longer provided."""
        with self._lock:
            return self.registry - {each.config["unique_id"] for each in self.entities.values()}

    def press(self, key: str, payload: str) -> None:
        """Send a command of an entity."""
        with self._lock:
            (entity,) = (each for (_, name), each in self.entities.items() if name == key)
        assert self._client is not None
        self._client.publish(entity.config["command_topic"], payload, qos=0)

    # ---- on the client's thread ----

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        if code.is_failure:
            return
        with self._lock:
            topics = {topic for each in self.entities.values() for topic in _topics(each.config)}
        client.subscribe([("homeassistant/+/+/config", 0), ("homeassistant/+/+/+/config", 0)])
        for topic in topics:
            client.subscribe(topic, 0)
        client.publish("homeassistant/status", "online", qos=0)

    def _on_disconnect(self, *_: object) -> None:
        with self._lock:
            for each in self.entities.values():  # all are unavailable until they are announced again
                each.available, each.value = "availability_topic" not in each.config, None

    def _on_message(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        match = _TOPIC.fullmatch(message.topic)
        with self._lock:
            if match is not None and match[1] == "device":
                self._discovered(client, match[3], bytes(message.payload))
                return
            for each in self.entities.values():
                self._update(each, message.topic, bytes(message.payload))

    def _discovered(self, client: paho.Client, device: str, payload: bytes) -> None:
        components = {key for owner, key in self.entities if owner == device}
        if not payload:
            for key in components:
                self._remove(device, key)
            return
        document = json.loads(payload)
        self.faults += faults(document)
        for key, config in document["components"].items():
            if config.keys() == {"platform"}:
                self._remove(device, key)
                continue
            # A component that is not in the document and was not removed stays; this is how ghosts arise.
            before = self.entities.get((device, key))
            if before is not None and before.config == config:
                continue
            self.entities[device, key] = Entity(config)
            self.registry.add(config["unique_id"])
            for topic in _topics(config):
                client.subscribe(topic, 0)

    def _remove(self, device: str, key: str) -> None:
        entity = self.entities.pop((device, key), None)
        if entity is not None:
            self.registry.discard(entity.config["unique_id"])
        self.registry.discard(f"{device}_{key}")

    @staticmethod
    def _update(entity: Entity, topic: str, payload: bytes) -> None:
        config = entity.config
        if topic == config.get("availability_topic"):
            entity.available = payload == b"online"
        if topic == config.get("state_topic") and payload:
            template = config.get("value_template")
            entity.value = _rendered(template, payload) if template else payload.decode()


def until(there: Any, within_s: float, what: Any) -> float:
    """Wait until `there()` is true, and return the seconds; fail after `within_s` with the message of `what()`."""
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < within_s, what()
        time.sleep(0.01)
    return time.monotonic() - began


def faults(document: dict[str, Any]) -> list[str]:
    """Return the entries of a discovery document that Home Assistant would refuse or ignore."""
    found = [f"{key}: unknown at the top" for key in document.keys() - _ROOT_KEYS]
    found += [f"{key} is missing" for key in {"device", "origin", "components"} - document.keys()]
    found += [f"device.{key}: unknown" for key in document["device"].keys() - _DEVICE_KEYS]
    if not document["device"].get("identifiers") or "name" not in document["origin"]:
        found.append("no identifiers, or no name of the origin")
    ids = [each["unique_id"] for each in document["components"].values() if "unique_id" in each]
    if len(set(ids)) < len(ids):
        found.append("a unique_id is used twice")
    for key, config in document["components"].items():
        found += [f"{key}: {fault}" for fault in _faults(config)]
    return found


def _faults(config: dict[str, Any]) -> list[str]:
    platform = config.get("platform")
    if platform not in _PLATFORMS:
        return [f"platform {platform}"]
    if config.keys() == {"platform"}:
        return []
    found = [f"{key} is unknown" for key in config.keys() - _KEYS[platform]]
    found += [f"{key} is missing" for key in (_NEEDS[platform] | {"unique_id", "name"}) - config.keys()]
    if platform == "sensor" and "device_class" in config:
        kind = config["device_class"]
        if config.get("unit_of_measurement") not in _UNITS[kind]:
            found.append(f"{kind} in {config.get('unit_of_measurement')}")
        if kind in {"enum", "timestamp"} and "state_class" in config:
            found.append(f"{kind} has no state class")
        if kind == "energy" and config.get("state_class") not in {"total", "total_increasing"}:
            found.append("energy is a total")
    if "value_template" in config and not _TEMPLATE.fullmatch(config["value_template"]):
        found.append("a template that this listener does not support")
    return found


def _topics(config: dict[str, Any]) -> set[str]:
    return {config[key] for key in ("state_topic", "availability_topic") if key in config}


def _rendered(template: str, payload: bytes) -> str:
    """Return the value that Home Assistant's template takes from a JSON message."""
    match = _TEMPLATE.fullmatch(template)
    assert match is not None
    return str(json.loads(payload)[match[1]])
