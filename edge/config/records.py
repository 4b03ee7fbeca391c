"""The shape of `edge.yaml`: every key, its type, its bounds and its default.

`example.yaml` beside this file explains each key to a person; a test holds the two together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.core.values import JsonObject

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]  # up to a year: infinity is no time
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z",
        description="1 to 32 of A-Z a-z 0-9 _ - starting with a letter or digit",
    ),
]
ModuleName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", description="the name of a Python module, such as tasks.solve"),
]


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach RabbitMQ."""

    host: str = "127.0.0.1"
    port: Port = 5672
    vhost: str = "/"
    user: str = "edge"
    password_file: Path | None = None
    tls_ca: Path | None = None

    def password(self) -> str:
        """The password, read anew at each connect so that it can be changed without a restart."""
        if self.password_file is None:
            return "guest"
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("broker.password_file", str(self.password_file), str(err)) from err


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP door for the LAN."""

    host: str = "127.0.0.1"
    port: Port = 8420
    tls_cert: Path | None = None
    tls_key: Path | None = None
    loopback_without_token: bool = False
    # RabbitMQ 4 takes no message above 16 MiB, for whose sake all others would wait; 1e15 is sent on in full.
    max_body_bytes: Annotated[int, Meta(ge=1024, le=4 << 20)] = 1 << 20
    max_batch_bytes: Annotated[int, Meta(ge=1024, le=256 << 20)] = 16 << 20
    max_batch_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    max_open_jobs: Count = 1_000_000
    max_connections: Annotated[int, Meta(ge=1, le=10_000)] = 128
    max_wait_s: Annotated[float, Meta(ge=0, le=3600)] = 300.0
    ledger_copy_s: Seconds = 3600.0

    def check(self) -> None:
        """Raise ConfigError where one half of the certificate is missing."""
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_cert" if self.tls_cert is None else "tls_key"
            raise ConfigError(f"gateway.{missing}", None, "give both tls_cert and tls_key, or neither")

    @property
    def scheme(self) -> str:
        """`https` where there is a certificate, else `http`."""
        return "https" if self.tls_cert else "http"


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Celery worker that runs the jobs."""

    name: Name = "main"
    time_limit_s: Seconds | None = None
    stop_grace_s: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    running_job: Literal["finish", "hold", "freeze"] = "hold"
    cpu_watts: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    max_crashes: Count = 3
    max_early_cuts: Annotated[int, Meta(ge=0)] = 5
    early_cut_s: Seconds = 60.0
    max_result_bytes: Annotated[int, Meta(ge=1024)] = 1 << 20
    max_artifact_bytes: Annotated[int, Meta(ge=1024)] = 256 << 20


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long finished jobs stay; open jobs are never touched."""

    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    keep_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head this board works for, where it has no broker and no gateway of its own."""

    head_url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None

    def check(self) -> None:
        """Raise ConfigError on an address without a token, and on one that would carry the token in the open."""
        if self.head_url is None:
            return
        try:
            url = urlsplit(self.head_url)
            secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost"})
        except ValueError:
            secure = False
        if not secure:
            raise ConfigError("node.head_url", self.head_url, "https://HEAD:8420")
        if self.token_file is None:
            raise ConfigError("node.token_file", None, "the file with the token that the head gave (scope node)")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of a board."""

    root: Path = Path("/var/lib/edge")
    run: Path = Path("/run/edge")
    tasks: tuple[ModuleName, ...] = ("tasks.solve", "tasks.chat", "tasks.factorial", "tasks.primes")
    settings: dict[str, JsonObject] = {}
    broker: BrokerConfig = BrokerConfig()
    gateway: GatewayConfig = GatewayConfig()
    worker: WorkerConfig = WorkerConfig()
    node: NodeConfig = NodeConfig()
    retention: RetentionConfig = RetentionConfig()
    power: PowerConfig = PowerConfig()

    @property
    def layout(self) -> Layout:
        """The paths under `root` and `run`."""
        return Layout(self.root, self.run)
