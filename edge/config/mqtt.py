"""The section `mqtt` of `edge.yaml`: the MQTT broker that the board uses, and what other clients may do through it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError

Port = Annotated[int, Meta(ge=1, le=65535)]
#: One level of a topic, in characters that Home Assistant and every broker accept.
Level = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", description="1 to 64 of A-Z a-z 0-9 _ -, such as attic")
]
Levels = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*\Z",
        max_length=128,
        description="levels of a topic, such as homeassistant",
    ),
]
#: A topic that the board reads. Wildcards and the broker's own topics (`$SYS`) are not allowed.
Topic = Annotated[
    str,
    Meta(
        pattern=r"^[^$+#\x00-\x1f][^+#\x00-\x1f]{0,254}\Z",
        description="a topic without wildcards, such as home/solar/power",
    ),
]
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|::1")


class MqttBroker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How to reach an MQTT broker. The password is in a separate file."""

    host: Annotated[str, Meta(min_length=1, max_length=255), about("name or address of the MQTT broker")]
    port: Annotated[Port | None, about("null: 1883, or 8883 with tls_ca")] = None
    user: Annotated[str | None, about("user of the login; null: none")] = None
    password_file: Annotated[Path | None, about("file that holds the password; null: none")] = None
    tls_ca: Annotated[Path | None, about("PEM file of the CA of the broker's certificate; null: no TLS")] = None
    keepalive_s: Annotated[int, Meta(ge=10, le=3600), about("the board pings the MQTT broker this often")] = 300

    @property
    def address(self) -> str:
        """Host and port as text, with brackets around an IPv6 address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.tcp_port}"

    @property
    def tcp_port(self) -> int:
        """The configured port, or the default: 1883, or 8883 with TLS."""
        return self.port or (8883 if self.tls_ca else 1883)

    @property
    def local(self) -> bool:
        """True for a broker on this board, which is reached without a network."""
        return _LOOPBACK.fullmatch(self.host) is not None

    def password(self) -> str | None:
        """Return the password, or None if no file is configured. Raises ConfigError if the file cannot be read.

        Callers read it at each connect, so that it can be changed without a restart.
        """
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("mqtt.password_file", str(self.password_file), str(err)) from err

    def absolute(self, base: Path) -> Self:
        """Return this record with relative paths taken from `base`."""
        password, ca = self.password_file, self.tls_ca
        return msgspec.structs.replace(
            self, password_file=base / password if password else None, tls_ca=base / ca if ca else None
        )


class MqttSubmitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The submitter and the kinds of the jobs that are submitted by topic."""

    token: Annotated[
        str,
        about(
            "Name of a token of scope submit (`edge token add NAME`). It is the submitter of these jobs; once it is "
            "revoked, no job can be submitted by topic.",
            example="home",
        ),
    ]
    kinds: Annotated[
        tuple[str, ...], about("The kinds of job that may be submitted by topic; at least one.", example=["solve"])
    ]


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker of the house, for Home Assistant and others."""

    host: Annotated[str | None, about("The MQTT broker's name or address. null: no MQTT.")] = None
    port: Annotated[Port | None, about("null: 1883, or 8883 with tls_ca.")] = None
    user: Annotated[str | None, about("User of the login. null: none.")] = None
    password_file: Annotated[
        Path | None, about("File that holds the password, readable by the edge users only. null: none.")
    ] = None
    tls_ca: Annotated[
        Path | None,
        about(
            "PEM file of the CA of the MQTT broker's certificate; the board then uses TLS only. null: no TLS, "
            "so whoever listens on the network reads the password."
        ),
    ] = None
    keepalive_s: Annotated[
        int,
        Meta(ge=10, le=3600),
        about(
            "The board pings the MQTT broker this often, 10 to 3600. When nothing has come for 1.5 times as long, it "
            "counts as offline."
        ),
    ] = 300
    board: Annotated[
        Level | None,
        about("The board's name in topics, `edge/BOARD/...`. null: its host name. Each board needs its own."),
    ] = None
    discovery_prefix: Annotated[
        Levels, about("The discovery prefix, the same as in Home Assistant's MQTT options.")
    ] = "homeassistant"
    enabled: Annotated[
        bool,
        about(
            "false: the board removes its device from Home Assistant and its retained messages from the MQTT broker, "
            "then sends nothing more. Set this before you remove the section mqtt."
        ),
    ] = True
    controls: Annotated[
        bool,
        about(
            "false: no pause and no resume by MQTT. true: everyone who may write to the broker's topics can pause the "
            "board."
        ),
    ] = True
    submit: Annotated[
        MqttSubmitConfig | None,
        about("Jobs by the topic edge/BOARD/submit; see docs/how-to/home-assistant.md. null: none."),
    ] = None

    @property
    def broker(self) -> MqttBroker | None:
        """How to reach the MQTT broker; None if none is named."""
        if self.host is None:
            return None
        return MqttBroker(
            host=self.host,
            port=self.port,
            user=self.user,
            password_file=self.password_file,
            tls_ca=self.tls_ca,
            keepalive_s=self.keepalive_s,
        )

    def absolute(self, base: Path) -> MqttConfig:
        """Return this record with relative paths taken from `base`."""
        password, ca = self.password_file, self.tls_ca
        return msgspec.structs.replace(
            self, password_file=base / password if password else None, tls_ca=base / ca if ca else None
        )

    def check(self) -> None:
        """Raise ConfigError if two keys contradict each other."""
        if self.host is not None and not self.host.strip():
            raise ConfigError("mqtt.host", self.host, "expected a name or an address, or null")
        if self.user is None and self.password_file is not None:
            raise ConfigError("mqtt.user", None, "give the user whose password mqtt.password_file holds")
        if self.submit is None:
            return
        if self.host is None:
            raise ConfigError("mqtt.host", None, "mqtt.submit needs an MQTT broker")
        if self.user is None:
            allowed = "mqtt.submit needs one: a broker without users would let everyone submit jobs"
            raise ConfigError("mqtt.user", None, allowed)
        if not self.submit.kinds:
            raise ConfigError("mqtt.submit.kinds", [], "name at least one kind of job that may be submitted by topic")
