"""The section `power.forecast` of `edge.yaml`: looking ahead to what the panel is going to give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError


class ForecastConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the board looks ahead, where power.battery_wh and a source of solar_watts are known."""

    enabled: Annotated[
        bool,
        about(
            "false: the fixed thresholds always decide. true: after one learned week a plan lowers the pause threshold."
        ),
    ] = True
    latitude: Annotated[
        Annotated[float, Meta(ge=-66, le=66)] | None,
        about("Where the panel is, in degrees north. null: learned from its first and last light."),
    ] = None
    longitude: Annotated[Annotated[float, Meta(ge=-180, le=180)] | None, about("The same in degrees east.")] = None
    file: Annotated[
        Path | None,
        about(
            "A forecast from elsewhere, which a program of yours writes: JSON as "
            '`{"start": 1796000400, "step_s": 3600, "watts": [0, 1.5]}`. The board uses it after 7 days, while its '
            "error is at least 3 % smaller than that of the board's own forecast. null: none."
        ),
    ] = None

    def check(self, key: str) -> None:
        """Raise ConfigError where one coordinate is given without the other."""
        if (self.latitude is None) is not (self.longitude is None):
            name = "longitude" if self.longitude is None else "latitude"
            raise ConfigError(f"{key}.{name}", None, "give both latitude and longitude, or neither")
