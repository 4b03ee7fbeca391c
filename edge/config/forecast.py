"""The section `power.forecast` of `edge.yaml`: the forecast of the energy from the solar panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.mqtt import MqttBroker, MqttConfig, Topic
from edge.core.errors import ConfigError


class ExternalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The source of an external forecast."""

    kind: Annotated[
        Literal["file", "command", "mqtt"], about("how the board gets it: file, command or mqtt", example="mqtt")
    ]
    path: Annotated[Path | None, about("file: read again when it changes.")] = None
    command: Annotated[
        tuple[str, ...],
        about("command: a program and its arguments, run once an hour without a shell; it prints only the JSON."),
    ] = ()
    timeout_s: Annotated[
        Annotated[float, Meta(ge=1, le=600)], about("command: the program is killed after this long.")
    ] = 60.0
    topic: Annotated[
        Topic | None,
        about(
            "mqtt: the topic of the forecast. A retained message also reaches a board that connects later.",
            example="home/solar/forecast",
        ),
    ] = None
    broker: Annotated[
        MqttBroker | None,
        about("mqtt: another MQTT broker, such as {host: NAME}; null: the broker in the section mqtt."),
    ] = None

    def check(self, key: str) -> None:
        """Raise ConfigError if the key of this kind is missing, or if a key of another kind is given.

        `timeout_s` is accepted with every kind.
        """
        own = {"file": ("path",), "command": ("command",), "mqtt": ("topic", "broker")}
        if not getattr(self, own[self.kind][0]):
            raise ConfigError(f"{key}.{own[self.kind][0]}", None, f"required with kind {self.kind}")
        for kind, names in own.items():
            for name in names:
                if kind != self.kind and getattr(self, name):
                    raise ConfigError(f"{key}.{name}", "...", f"belongs to kind {kind}; kind is {self.kind}")
        if self.command and ("\0" in "".join(self.command) or not self.command[0].strip()):
            raise ConfigError(f"{key}.command", list(self.command), "expected a program and its arguments")
        if self.command and "/" in self.command[0] and not self.command[0].startswith("/"):
            raise ConfigError(f"{key}.command", self.command[0], "expected a name, or a path that begins with /")

    def absolute(self, base: Path) -> ExternalConfig:
        """Return this record with relative paths taken from `base`."""
        return msgspec.structs.replace(
            self,
            path=base / self.path if self.path else None,
            broker=self.broker.absolute(base) if self.broker else None,
        )


class ForecastConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the board forecasts solar energy. This needs power.battery_wh and a source of solar_watts."""

    enabled: Annotated[
        bool,
        about(
            "false: the fixed thresholds always decide. true: after the board has learned for a week, a plan lowers "
            "the pause threshold."
        ),
    ] = True
    latitude: Annotated[
        Annotated[float, Meta(ge=-66, le=66)] | None,
        about(
            "Where the panel is, in degrees north. null: the board learns it from the times when the panel first and "
            "last gives power each day."
        ),
    ] = None
    longitude: Annotated[Annotated[float, Meta(ge=-180, le=180)] | None, about("The same in degrees east.")] = None
    file: Annotated[
        Path | None,
        about(
            "An external forecast, which a program of yours writes as JSON: "
            '`{"start": 1796000400, "step_s": 3600, "watts": [0, 1.5]}`. After 7 days of comparison the board '
            "uses it, as long as its error is at least 3 % smaller than that of the board's own forecast. null: none."
        ),
    ] = None
    outside: Annotated[
        ExternalConfig | None,
        about("An external forecast, with the same JSON, from a file, a command or an MQTT topic. null: none."),
    ] = None

    @property
    def external(self) -> ExternalConfig | None:
        """The source of the external forecast, from the key `file` or `outside`; None if neither is set."""
        return self.outside if self.file is None else ExternalConfig(kind="file", path=self.file)

    def absolute(self, base: Path) -> ForecastConfig:
        """Return this record with relative paths taken from `base`."""
        return msgspec.structs.replace(
            self,
            file=base / self.file if self.file else None,
            outside=self.outside.absolute(base) if self.outside else None,
        )

    def check(self, key: str) -> None:
        """Raise ConfigError if only one coordinate is given, or if two external forecasts are given."""
        if (self.latitude is None) is not (self.longitude is None):
            name = "longitude" if self.longitude is None else "latitude"
            raise ConfigError(f"{key}.{name}", None, "give both latitude and longitude, or neither")
        if self.outside is None:
            return
        if self.file is not None:
            raise ConfigError(f"{key}.file", str(self.file), f"give {key}.file or {key}.outside, not both")
        self.outside.check(f"{key}.outside")

    def check_broker(self, mqtt: MqttConfig) -> None:
        """Raise ConfigError if the forecast comes from a topic and no MQTT broker is named."""
        external = self.outside
        if external is not None and external.kind == "mqtt" and external.broker is None and mqtt.broker is None:
            allowed = "name the MQTT broker: mqtt.host, or `broker: {host: ...}` here"
            raise ConfigError("power.forecast.outside.broker", None, allowed)
