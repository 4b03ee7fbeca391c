"""`edge.yaml`, read once into frozen records; a bad value stops the start and says which."""

from edge.config.load import Loaded, default_path, load
from edge.config.records import (
    BrokerConfig,
    Config,
    GatewayConfig,
    RetentionConfig,
    WorkerConfig,
)

__all__ = [
    "BrokerConfig",
    "Config",
    "GatewayConfig",
    "Loaded",
    "RetentionConfig",
    "WorkerConfig",
    "default_path",
    "load",
]
