"""`edge.yaml`, read once into frozen records; a bad value stops the start and says which.

- `load`: reads defaults, file and environment into one `Config`
- `records`: all keys but those below, with type, bounds, default and meaning
- `power`: the section `power`
- `forecast`: the section `power.forecast`
- `sleep`: the section `power.sleep`
- `times`: times of day
- `mqtt`: the section `mqtt`
- `workers`: the list `workers`
- `scaling`: the keys of a worker in that list that is started and stopped by need
- `files`: the section `gateway.files`
- `commands`: the programs that are kinds of job
- `command_check`: what those may not contradict
- `limits`: how many jobs of a kind may be at work
- `source`: the keys that every power source has
- `kinds`: finds the record of a kind of power source
- `pins`: the names of a GPIO pin
- `about`: the meaning of a key, beside its type
- `allowed`: what a key may hold, in words
- `example`: writes `edge config example`
- `explain`: turns msgspec's messages into a `ConfigError`
- `tree`: YAML as plain values
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
