"""Reads `edge.yaml` once into frozen records. A bad value stops the start with an error that names the key.

- `load`: reads defaults, file and environment into one `Config`
- `records`: all keys except those of the modules below, with type, bounds, default and meaning
- `power`: the section `power`
- `forecast`: the section `power.forecast`
- `sleep`: the section `power.sleep`
- `times`: times of day as text
- `mqtt`: the section `mqtt`
- `workers`: the list `workers`
- `scaling`: the keys of an entry of `workers` that is started and stopped with the load
- `files`: the section `gateway.files`
- `commands`: the list `commands`: programs that are kinds of job
- `command_check`: checks the list `commands` for contradictions
- `limits`: the section `limits`: how many jobs of a kind may run at once and per minute
- `source`: the keys that every power source has
- `kinds`: finds the record of a kind of power source
- `pins`: converts the name of a pin to a GPIO number
- `about`: attaches the explanation of a key to its type
- `allowed`: says in words what a key may hold
- `example`: writes the output of `edge config example`
- `explain`: turns msgspec's messages into a `ConfigError`
- `tree`: reads YAML into plain values, with limits
"""

from edge.config.commands import CommandConfig
from edge.config.limits import LimitConfig
from edge.config.load import Loaded, default_path, load
from edge.config.records import (
    BrokerConfig,
    Config,
    GatewayConfig,
    RetentionConfig,
    WorkerConfig,
)
from edge.config.workers import WorkerEntry

__all__ = [
    "BrokerConfig",
    "CommandConfig",
    "Config",
    "GatewayConfig",
    "LimitConfig",
    "Loaded",
    "RetentionConfig",
    "WorkerConfig",
    "WorkerEntry",
    "default_path",
    "load",
]
