"""`edge.yaml`, read once into frozen records; a bad value stops the start and says which."""

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
    "Config",
    "GatewayConfig",
    "Loaded",
    "RetentionConfig",
    "WorkerConfig",
    "WorkerEntry",
    "default_path",
    "load",
]
