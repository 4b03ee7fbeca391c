"""The kinds of power source. Each file declares one kind: its configuration record, its quantities, probe and reading.

To add a kind, write `edge/power/sources/KIND.py`, its test rig `tests/unit/power/rigs/KIND.py`, on which the contract
of all sources is tested, and its section in `docs/reference/power-sources.md`. `edge.config.kinds` finds the kind by
its name. `edge.power.inputs.source` describes what a kind declares.

- `plain`: a wall plug without a sensor, always good
- `power_supply`: batteries and mains from the kernel's class `power_supply`
- `psutil_battery`: the battery as psutil reports it
- `undervoltage`: the board's own detector of undervoltage
- `pin`: a GPIO pin that reports the supply or the battery
- `shunt`: the shunt monitors INA219, INA226, INA260 and INA3221
- `nut`: any UPS that Network UPS Tools supports
- `vedirect`: Victron chargers and battery monitors on a VE.Direct port
- `mqtt`: a value that another device publishes by MQTT
- `temperature`: the temperature of the SoC
- `disk`: free space on the file system of the results
- `clock`: checks whether the wall clock can be right
- `simulated`: a power state set by `edge power simulate`, a script or a simulated solar day
"""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.power.inputs.source import PowerSourceConfig


def configured(config: PowerConfig) -> tuple[PowerSourceConfig, ...]:
    """Return the records of the configured sources, or one plain supply, which is always good, if there are none.

    Raises:
        ConfigError: the record of a kind from another package is not a PowerSourceConfig, so it cannot be opened.
    """
    records = []
    for number, record in enumerate(config.sources):
        if not isinstance(record, PowerSourceConfig):
            allowed = "its record must be a PowerSourceConfig of edge.power.inputs.source"
            raise ConfigError(f"power.sources[{number}].kind", record.kind, allowed)
        records.append(record)
    if not records:
        from edge.power.sources.plain import PlainConfig  # only a board without configured sources loads it

        return (PlainConfig(),)
    return tuple(records)
