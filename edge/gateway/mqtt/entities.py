"""Defines the entities that Home Assistant shows of a board, and makes the device discovery document.

There is one retained document for the whole device (`homeassistant/device/ID/config`, Home Assistant 2024.11 and
later). To remove a component, the document names it once more with only its platform.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from edge import __version__
from edge.config.mqtt import MqttConfig
from edge.core.values import JsonObject
from edge.model import PowerState

ONLINE, OFFLINE = "online", "offline"
ON, OFF, PRESS = "ON", "OFF", "PRESS"


class Topics(msgspec.Struct, frozen=True):
    """The MQTT topics of one board."""

    device: str  # the id of the board in discovery
    board: str  # the name of the board, one level of a topic
    prefix: str = "homeassistant"

    @property
    def base(self) -> str:
        """The beginning of all topics of the board."""
        return f"edge/{self.board}"

    @property
    def config(self) -> str:
        """Topic of the discovery document, retained."""
        return f"{self.prefix}/device/{self.device}/config"

    @property
    def birth(self) -> str:
        """Topic on which Home Assistant reports that it has started."""
        return f"{self.prefix}/status"

    @property
    def online(self) -> str:
        """Topic of `online` or `offline`, retained; also the topic of the last will."""
        return f"{self.base}/online"

    @property
    def state(self) -> str:
        """Topic of the values of all entities, one JSON object, retained."""
        return f"{self.base}/state"

    @property
    def pause(self) -> str:
        """Topic of a command: `ON` pauses, `OFF` resumes."""
        return f"{self.base}/pause/set"

    @property
    def resume(self) -> str:
        """Topic of a command: `PRESS` resumes."""
        return f"{self.base}/resume/set"

    @property
    def submit(self) -> str:
        """Topic on which jobs are submitted."""
        return f"{self.base}/submit"

    @property
    def accepted(self) -> str:
        """Topic of the answer that a job is durable."""
        return f"{self.base}/submit/accepted"

    @property
    def refused(self) -> str:
        """Topic of the answer why a job is refused."""
        return f"{self.base}/submit/refused"

    @property
    def retained(self) -> tuple[str, ...]:
        """The topics on which the broker keeps a message of this board."""
        return self.config, self.online, self.state


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One entity of Home Assistant. Its value has the same key in the state."""

    key: str
    name: str
    platform: str = "sensor"
    options: JsonObject = {}
    quantity: str = ""  # if set, the entity exists only if a power source reports this quantity
    control: bool = False  # if set, the entity exists only if `mqtt.controls` is true


_DIAGNOSTIC: JsonObject = {"entity_category": "diagnostic"}
_MEASURED: JsonObject = {"state_class": "measurement"}


def _measured(device_class: str, unit: str, **more: object) -> JsonObject:
    return {"device_class": device_class, "unit_of_measurement": unit, **_MEASURED, **more}


ENTITIES = (
    Entity(
        key="power_state",
        name="Power",
        options={"device_class": "enum", "options": [state.value for state in PowerState], "icon": "mdi:solar-power"},
    ),
    Entity(key="power_reason", name="Power reason", options={"icon": "mdi:text"}),
    Entity(key="power_until", name="Power changes when", options=_DIAGNOSTIC),
    Entity(key="resumes_at", name="Normal power expected", options={"device_class": "timestamp"}),
    Entity(key="charge", name="Battery", options=_measured("battery", "%"), quantity="charge"),
    Entity(key="runtime", name="Battery lasts", options=_measured("duration", "s"), quantity="runtime"),
    Entity(key="watts", name="Board draws", options=_measured("power", "W"), quantity="watts"),
    Entity(key="solar_watts", name="Solar power", options=_measured("power", "W"), quantity="solar_watts"),
    Entity(key="temperature", name="Temperature", options=_measured("temperature", "°C"), quantity="temperature"),
    Entity(key="supply", name="Supply", platform="binary_sensor", options={"device_class": "power"}, quantity="supply"),
    Entity(
        key="throttled",
        name="Undervoltage or throttled",
        platform="binary_sensor",
        options={"device_class": "problem", **_DIAGNOSTIC},
        quantity="undervoltage",
    ),
    Entity(
        key="energy",
        name="Energy of jobs",
        options={"device_class": "energy", "unit_of_measurement": "Wh", "state_class": "total_increasing"},
    ),
    *(
        Entity(
            key=f"backlog_{name}",
            name=f"Backlog {name}",
            options={"unit_of_measurement": "jobs", "icon": "mdi:tray-full", **_MEASURED},
        )
        for name in ("always", "normal", "surplus")
    ),
    Entity(key="running_job", name="Running job", options={"icon": "mdi:cog-play"}),
    Entity(
        key="progress",
        name="Progress",
        options={"unit_of_measurement": "%", "icon": "mdi:progress-clock", **_MEASURED},
    ),
    Entity(key="last_failure", name="Last failure", options={"icon": "mdi:alert-circle-outline"}),
    Entity(key="last_failure_at", name="Last failure at", options={"device_class": "timestamp", **_DIAGNOSTIC}),
    Entity(
        key="broker",
        name="RabbitMQ",
        platform="binary_sensor",
        options={"device_class": "connectivity", **_DIAGNOSTIC},
    ),
    Entity(
        key="free_space",
        name="Free space",
        options=_measured("data_size", "GB", **_DIAGNOSTIC),
    ),
    Entity(key="online", name="Online", platform="binary_sensor", options={"device_class": "connectivity"}),
    Entity(key="paused", name="Pause", platform="switch", options={"icon": "mdi:pause"}, control=True),
    Entity(key="resume", name="Resume", platform="button", options={"icon": "mdi:play"}, control=True),
)
#: The quantities that make entities appear. `throttled` counts as `undervoltage`, because one entity shows both.
QUANTITIES = frozenset(each.quantity for each in ENTITIES if each.quantity) | {"throttled"}
_SHOWN_WITH = {"throttled": "undervoltage"}


def entities(config: MqttConfig, quantities: Collection[str]) -> tuple[Entity, ...]:
    """Return the entities of a board. `quantities` are those that its power sources report."""
    found = {_SHOWN_WITH.get(each, each) for each in quantities}
    return tuple(
        each
        for each in ENTITIES
        if (not each.quantity or each.quantity in found) and (config.controls or not each.control)
    )


def document(topics: Topics, shown: Collection[Entity], removed: Mapping[str, str], *, model: str) -> bytes:
    """Return the discovery document as JSON.

    Args:
        topics: the topics of the board.
        shown: the entities of the board.
        removed: components that Home Assistant must remove: key and platform of each.
        model: the model of the board.
    """
    components: JsonObject = {each.key: component(topics, each) for each in shown}
    components.update({key: {"platform": platform} for key, platform in removed.items()})
    device = {
        "identifiers": [topics.device],
        "name": topics.board,
        "manufacturer": "edge worker",
        "model": model,
        "sw_version": __version__,
    }
    origin = {"name": "edge-worker", "sw_version": __version__}
    return msgspec.json.encode({"device": device, "origin": origin, "components": components})


def component(topics: Topics, entity: Entity) -> JsonObject:
    """Return the description of one entity for the discovery document."""
    found: JsonObject = {
        "platform": entity.platform,
        "name": entity.name,
        "unique_id": f"{topics.device}_{entity.key}",
        **entity.options,
    }
    if entity.key == "online":  # always available, because it shows itself whether the board is online
        return {**found, "state_topic": topics.online, "payload_on": ONLINE, "payload_off": OFFLINE}
    found["availability_topic"] = topics.online
    if entity.platform == "button":
        return {**found, "command_topic": topics.resume, "payload_press": PRESS}
    found.update(state_topic=topics.state, value_template="{{ value_json." + entity.key + " }}")
    if entity.platform == "switch":
        found.update(command_topic=topics.pause, payload_on=ON, payload_off=OFF)
    return found
