"""What every power source in `edge.yaml` has. The kinds themselves are declared where they are read.

`edge.config` knows no kind: `edge.config.kinds` finds the record of a `kind` by its name. The records of the
product stand in `edge/power/sources`, one file a kind.
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

    A path that is not there makes the readings of its source `unknown`; it is never taken for good power.
    """

    name: Annotated[
        SourceName | None,
        about("shown in the reasons; default: the kind. Two of one kind need two names", example="NAME"),
    ] = None
    unknown: Annotated[
        Unknown | None,
        about("what it counts as when it fails: low, stop or normal; default: policy.unknown", example="low"),
    ] = None

    @property
    def kind(self) -> str:
        """What `kind` says in `edge.yaml`."""
        return str(self.__struct_config__.tag)

    @property
    def label(self) -> str:
        """The name that its readings carry."""
        return self.name or self.kind

    def check(self, key: str) -> None:
        """Check values that are each allowed against each other. `key` is where this source stands.

        Raises:
            ConfigError: two values contradict each other.
        """

    def owns(self) -> tuple[tuple[str, str, str], ...]:
        """(field, noun, thing) of what only one source may read: `("pin", "pin", "6")` for a GPIO line."""
        return ()

    def beside(self, mqtt: MqttConfig) -> Self:  # noqa: ARG002 - most kinds have nothing to do with it
        """The same with what it takes from the section `mqtt` of the file."""
        return self

    def absolute(self, base: Path) -> Self:
        """The same record with relative paths taken from `base`."""
        paths = {f: base / v for f in self.__struct_fields__ if isinstance(v := getattr(self, f), Path)}
        return msgspec.structs.replace(self, **paths) if paths else self
