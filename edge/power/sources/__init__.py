"""The kinds of power source, one a file. A file declares its record, what it reports, its probe and its reading.

To add one, write `edge/power/sources/KIND.py`, its rig `tests/unit/power/rigs/KIND.py`, on which the contract of all
sources is tested, and its section in `docs/reference/power-sources.md`. `edge.config.kinds` finds it by its name; see
`edge.power.inputs.source` for what it declares.

- `plain`: a wall plug that nothing measures
- `power_supply`: batteries and mains as the kernel shows them
- `psutil_battery`: the battery as psutil sees it
- `undervoltage`: the board's own detector
- `pin`: a GPIO that tells of supply or battery
- `shunt`: INA219, INA226, INA260, INA3221
- `nut`: any UPS of Network UPS Tools
- `vedirect`: Victron chargers and battery monitors
- `mqtt`: a value that somebody publishes by MQTT
- `temperature`: the temperature of the SoC
- `disk`: the room left where results go
- `clock`: whether the wall clock can be right
- `simulated`: power set by `edge power simulate`
"""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.power.inputs.source import PowerSourceConfig


def configured(config: PowerConfig) -> tuple[PowerSourceConfig, ...]:
    """The sources of a board; without any, a plain supply that is always good.

    Raises:
        ConfigError: a kind from elsewhere declares a record that cannot be opened.
    """
    records = []
    for number, record in enumerate(config.sources):
        if not isinstance(record, PowerSourceConfig):
            allowed = "its record must be a PowerSourceConfig of edge.power.inputs.source"
            raise ConfigError(f"power.sources[{number}].kind", record.kind, allowed)
        records.append(record)
    if not records:
        from edge.power.sources.plain import PlainConfig  # only for a board that names no source

        return (PlainConfig(),)
    return tuple(records)
