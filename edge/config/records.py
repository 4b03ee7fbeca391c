"""Defines the keys of `edge.yaml`: type, bounds, default and meaning.

`edge config example` prints the text of `about` for each key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.commands import CommandConfig
from edge.config.files import FilesConfig
from edge.config.limits import LimitConfig
from edge.config.mqtt import MqttConfig
from edge.config.power import ModuleName, PowerConfig
from edge.config.workers import Name, WorkerEntry, entry_of, planned
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.core.values import JsonObject
from edge.model import TaskName

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]  # up to a year: infinity is not a duration


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach RabbitMQ."""

    host: str = "127.0.0.1"
    port: Port = 5672
    vhost: str = "/"
    user: str = "edge"
    password_file: Annotated[
        Path | None,
        about(
            "File that holds the password, readable by the edge users only. null: the password `guest`, for a broker "
            "on this machine."
        ),
    ] = None
    tls_ca: Annotated[
        Path | None,
        about(
            "PEM file of the CA of the broker's certificate; the board then uses TLS only (usually port 5671). null: "
            "plain AMQP."
        ),
    ] = None

    def password(self) -> str:
        """Return the password. Raises ConfigError if its file cannot be read.

        Callers read it at each connect, so that it can be changed without a restart.
        """
        if self.password_file is None:
            return "guest"
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("broker.password_file", str(self.password_file), str(err)) from err


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway: the HTTP server for the LAN."""

    host: Annotated[
        str,
        about(
            "127.0.0.1: this board only; 0.0.0.0: the whole LAN, each submitter with a token (`edge token add NAME`);"
            ' "::": the same with IPv6.'
        ),
    ] = "127.0.0.1"
    port: Port = 8420
    tls_cert: Annotated[Path | None, about("PEM files; with both the gateway serves HTTPS only. null: plain HTTP.")] = (
        None
    )
    tls_key: Path | None = None
    loopback_without_token: Annotated[bool, about("true: requests from the board itself need no token.")] = False
    # RabbitMQ 4 rejects messages over 16 MiB, which would block the queue. The limit leaves room for re-encoding:
    # a short `1e15` in the request becomes a number with all its digits in the message.
    max_body_bytes: Annotated[
        int,
        Meta(ge=1024, le=4 << 20),
        about("Largest JSON of a job, 1024 to 4194304; of a batch, 1024 to 268435456; lines in a batch, 1 to 100000."),
    ] = 1 << 20
    max_batch_bytes: Annotated[int, Meta(ge=1024, le=256 << 20)] = 16 << 20
    max_batch_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    max_open_jobs: Annotated[
        Count, about("Most jobs that have not ended; further ones are refused (503) until some have ended.")
    ] = 1_000_000
    max_connections: Annotated[int, Meta(ge=1, le=10_000), about("Most open connections, 1 to 10000.")] = 128
    max_wait_s: Annotated[float, Meta(ge=0, le=3600), about("Longest wait for a result in one request, 0 to 3600.")] = (
        300.0
    )
    release_window: Annotated[
        int,
        Meta(ge=1, le=4096),
        about(
            "Jobs of a queue that the broker holds at a time, 1 to 4096; more if they end quickly or if threads take"
            " many. The other jobs wait in the ledger, in the order of priorities. A job of high priority starts after"
            " the jobs that the broker already has."
        ),
    ] = 128
    overtaken_s: Annotated[
        Seconds, about("A job that jobs of higher priority have overtaken for this long goes before them.")
    ] = 3600.0
    ledger_copy_s: Annotated[
        Seconds,
        about(
            "After changes the ledger is copied to a second file, at most this often (a large ledger less often), and "
            "at a clean stop. A broken ledger is rebuilt from this copy, from its readable rows and from the results."
        ),
    ] = 3600.0
    files: Annotated[FilesConfig, about("Files that are uploaded for jobs: docs/how-to/files.md.")] = FilesConfig()

    def check(self) -> None:
        """Raise ConfigError if only one of `tls_cert` and `tls_key` is given."""
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_cert" if self.tls_cert is None else "tls_key"
            raise ConfigError(f"gateway.{missing}", None, "give both tls_cert and tls_key, or neither")

    @property
    def scheme(self) -> str:
        """`https` if a certificate is configured, else `http`."""
        return "https" if self.tls_cert else "http"


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Celery worker that runs the jobs."""

    name: Annotated[Name, about("Names the worker in `edge status`; each worker of a board needs its own.")] = "main"
    time_limit_s: Annotated[Seconds | None, about("Time limit of a job that has no own limit. null: no limit.")] = None
    stop_grace_s: Annotated[
        float,
        Meta(ge=0, le=3600),
        about("Time for the running job to finish when the worker is stopped, 0 to 3600."),
    ] = 10.0
    running_job: Annotated[
        Literal["finish", "hold", "freeze"],
        about(
            "What happens to a running job when power no longer allows its class. finish: it continues. hold: it stops "
            "at its next job.checkpoint(), job.progress() or job.check() and continues there when power is back. "
            "freeze: its process is stopped at any point. Time held or frozen does not count towards its limit. At "
            "`critical` the job gets power.critical.grace_s in every mode."
        ),
    ] = "hold"
    cpu_watts: Annotated[
        Annotated[float, Meta(ge=0, le=1000)] | None,
        about(
            "Extra watts of one busy core, to estimate a job's joules if nothing measures the board: about 0.5 on a "
            "Zero 2 W, 1.0 on a Pi 4, 1.5 on a Pi 5. null: the value that `edge power calibrate` measured, or 1.0 "
            "without one."
        ),
    ] = None
    max_crashes: Annotated[
        Count,
        about("A job that crashes its worker this often fails, with a result that says so."),
    ] = 3
    max_early_cuts: Annotated[
        int,
        Meta(ge=0),
        about(
            "A job fails as `brown-out` after this many power cuts in a row, each within early_cut_s seconds of its "
            "start and without a new checkpoint: the job itself may pull the voltage down. Later power cuts never "
            "count, and a new checkpoint starts the count again. 0: never."
        ),
    ] = 5
    early_cut_s: Seconds = 60.0
    max_result_bytes: Annotated[
        int, Meta(ge=1024), about("Largest value that a job may return; a job saves larger data as a file.")
    ] = 1 << 20
    max_artifact_bytes: Annotated[int, Meta(ge=1024), about("Largest total size of a job's files.")] = 256 << 20


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long finished jobs stay; open jobs are never touched."""

    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    keep_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head of a node. A node is a board without a broker and a gateway."""

    head_url: Annotated[
        str | None,
        about("The head's gateway, https://HEAD:8420, which receives the results. null: this board is its own head."),
    ] = None
    token_file: Annotated[
        Path | None,
        about("File with a token of scope node, made on the head by `edge token add NAME --scope node`."),
    ] = None
    ca_file: Annotated[
        Path | None, about("PEM file of the CA of the head's certificate. null: the CAs that this machine trusts.")
    ] = None

    def check(self) -> None:
        """Raise ConfigError if the address has no token file, or would send the token without encryption."""
        if self.head_url is None:
            return
        try:
            url = urlsplit(self.head_url)
            secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost"})
        except ValueError:
            secure = False
        if not secure:
            raise ConfigError("node.head_url", self.head_url, "expected https://HEAD:8420")
        if self.token_file is None:
            raise ConfigError(
                "node.token_file", None, "expected the file with the token that the head gave (scope node)"
            )


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of a board."""

    root: Annotated[
        Path,
        about(
            "Folder of jobs, results and the ledger, on a disk that survives a power cut. A relative path starts at "
            "the folder of this file."
        ),
    ] = Path("/var/lib/edge")
    run: Annotated[Path, about("Folder of files that must not outlive a boot, on a tmpfs.")] = Path("/run/edge")
    tasks: Annotated[tuple[ModuleName, ...], about("Python modules whose functions are the kinds of job.")] = (
        "tasks.solve",
        "tasks.chat",
        "tasks.factorial",
        "tasks.primes",
    )
    settings: Annotated[
        dict[str, JsonObject],
        about("Settings of single kinds of job, by kind: `settings: {chat: {corpora: [english]}}`."),
    ] = {}
    commands: Annotated[
        tuple[CommandConfig, ...],
        about(
            "Programs that are kinds of job, each with a template of its arguments; see "
            "docs/how-to/commands.md. A limit that this machine cannot enforce refuses the job."
        ),
    ] = ()
    allow_any: Annotated[
        bool,
        about("true: a token of scope run may run any program of this board, by `edge run -- PROGRAM ...`."),
    ] = False
    limits: Annotated[
        dict[TaskName, LimitConfig],
        about(
            "How many jobs of a kind may run, on all workers and nodes together: "
            "`limits: {chat: {at_once: 1, per_minute: 30}}`. Further jobs wait in the ledger, and their status says so."
        ),
    ] = {}
    broker: Annotated[BrokerConfig, about("RabbitMQ, which holds the queues.")] = BrokerConfig()
    gateway: Annotated[GatewayConfig, about("HTTP for the LAN.")] = GatewayConfig()
    worker: Annotated[WorkerConfig, about("The process that runs the jobs.")] = WorkerConfig()
    workers: Annotated[
        tuple[WorkerEntry, ...],
        about(
            "The workers of this board: `workers: [{name: main}, {name: io, pool: threads, concurrency: 100}]`. Empty: "
            "the worker of section `worker`, and a worker of threads named io if a kind of job has the pool io."
        ),
    ] = ()
    node: Annotated[
        NodeConfig,
        about(
            "Makes this board a node: it works for another board, the head, and has no broker and no gateway. `broker` "
            "above is then the head's."
        ),
    ] = NodeConfig()
    mqtt: Annotated[
        MqttConfig,
        about("The MQTT broker of the house. With `host` the board is a device in Home Assistant."),
    ] = MqttConfig()
    retention: Annotated[
        RetentionConfig,
        about(
            "Ended jobs are removed when they are older than keep_days, and the oldest ones when all together are "
            "larger than keep_bytes. Open jobs are never removed."
        ),
    ] = RetentionConfig()
    power: Annotated[PowerConfig, about("The sources of power, and what the board does when power is low.")] = (
        PowerConfig()
    )

    @property
    def own_worker(self) -> WorkerEntry:
        """The entry of the worker `worker.name`, or a new entry of the pool main if the list does not have it."""
        name = self.worker.name
        return entry_of(name, self.planned(io=self.threads)) or WorkerEntry(name)

    @property
    def scaled(self) -> tuple[WorkerEntry, ...]:
        """The entries of the list whose number of processes changes."""
        return tuple(entry for entry in self.workers if entry.scaled)

    @property
    def asks_head(self) -> bool:
        """True for the one worker of a node that reads the backlog from the head: the first one that is not scaled."""
        always = [entry.name for entry in self.workers if not entry.scaled]
        return self.node.head_url is not None and bool(self.scaled) and self.worker.name == next(iter(always), "")

    @property
    def backlog(self) -> Path:
        """The file of open jobs by which the governor scales workers."""
        return self.layout.backlog if self.node.head_url is None else self.layout.head_backlog

    @property
    def threads(self) -> bool:
        """False if no worker may run bodies in threads: freezing its process would freeze all of them."""
        return self.worker.running_job != "freeze"

    def planned(self, *, io: bool) -> tuple[WorkerEntry, ...]:
        """Return the workers that this board must run. `io` says if it has kinds of job of the pool io."""
        return planned(self.workers, name=self.worker.name, io=io and self.threads)

    @property
    def layout(self) -> Layout:
        """The paths under `root` and `run`."""
        return Layout(self.root, self.run, node=self.node.head_url is not None)
