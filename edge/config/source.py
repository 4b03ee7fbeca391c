"""Defines the keys that every power source in `edge.yaml` has.

Each kind of source declares its own record, in the module that reads this kind of source. `edge.config` knows no kind;
`edge.config.kinds` finds the record of a kind by its name. The built-in kinds are in `edge/power/sources`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.mqtt import MqttConfig

SourceName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Unknown = Literal["low", "stop", "normal"]


class SourceConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", omit_defaults=True
):
    """The keys that every kind of source has. A kind is a frozen subclass whose `tag` is its `kind`.

    If a configured path does not exist, the readings of its source are `unknown`. They never count as good power.
    """

    name: Annotated[
        SourceName | None,
        about("shown in reasons; default: the kind. Two sources of one kind need two names", example="NAME"),
    ] = None
    unknown: Annotated[
        Unknown | None,
        about("how a failed reading counts: low, stop or normal; default: power.policy.unknown", example="low"),
    ] = None

    @property
    def kind(self) -> str:
        """The value of the key `kind` in `edge.yaml`."""
        return str(self.__struct_config__.tag)

    @property
    def label(self) -> str:
        """The source name in its readings."""
        return self.name or self.kind

    def check(self, key: str) -> None:
        """Check for contradictions between keys. `key` is the place of this source in the file.

        Raises:
            ConfigError: two values contradict each other.
        """

    def owns(self) -> tuple[tuple[str, str, str], ...]:
        """Return (field, noun, name) for each thing that only one source may read: `("pin", "pin", "6")` for a GPIO."""
        return ()

    def with_mqtt_defaults(self, mqtt: MqttConfig) -> Self:  # noqa: ARG002 - most kinds have nothing to do with it
        """Return this record with the values that it takes from the section `mqtt` of the file."""
        return self

    def absolute(self, base: Path) -> Self:
        """Return this record with relative paths taken from `base`."""
        paths = {f: base / v for f in self.__struct_fields__ if isinstance(v := getattr(self, f), Path)}
        return msgspec.structs.replace(self, **paths) if paths else self
