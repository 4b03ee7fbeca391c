"""The shape of `edge.yaml`: every key, its type, its bounds, its default and what it means to a person.

`edge config example` prints what `about` says beside each key.
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
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]  # up to a year: infinity is no time


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
            "at hand."
        ),
    ] = None
    tls_ca: Annotated[
        Path | None,
        about(
            "PEM file that vouches for the broker: then it is spoken to by TLS only (port 5671, usually). null: plain "
            "AMQP."
        ),
    ] = None

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

    host: Annotated[
        str,
        about(
            "127.0.0.1: this board only; 0.0.0.0: the whole LAN, each submitter with a token (`edge token add NAME`);"
            ' "::": by IPv6, too.'
        ),
    ] = "127.0.0.1"
    port: Port = 8420
    tls_cert: Annotated[
        Path | None, about("PEM files; with both the gateway speaks HTTPS and nothing else. null: plain HTTP.")
    ] = None
    tls_key: Path | None = None
    loopback_without_token: Annotated[bool, about("true: who is logged in on the board itself needs no token.")] = False
    # RabbitMQ 4 takes no message above 16 MiB, for whose sake all others would wait; 1e15 is sent on in full.
    max_body_bytes: Annotated[
        int,
        Meta(ge=1024, le=4 << 20),
        about("A job's JSON, 1024 to 4194304; a whole batch, 1024 to 268435456; lines in a batch, 1 to 100000."),
    ] = 1 << 20
    max_batch_bytes: Annotated[int, Meta(ge=1024, le=256 << 20)] = 16 << 20
    max_batch_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    max_open_jobs: Annotated[Count, about("Jobs that have not ended; more are refused (503) until some have.")] = (
        1_000_000
    )
    max_connections: Annotated[int, Meta(ge=1, le=10_000), about("Connections at once, 1 to 10000.")] = 128
    max_wait_s: Annotated[float, Meta(ge=0, le=3600), about("Longest wait for a result in one request, 0 to 3600.")] = (
        300.0
    )
    release_window: Annotated[
        int,
        Meta(ge=1, le=4096),
        about(
            "Jobs of a queue that the broker holds at a time, 1 to 4096; more where they end quickly or threads take"
            " many. The rest waits in the ledger, in the order of priorities: a job of high priority starts after those"
            " that the broker has already."
        ),
    ] = 128
    overtaken_s: Annotated[
        Seconds, about("A job that others of higher priority have overtaken for so long goes before them.")
    ] = 3600.0
    ledger_copy_s: Annotated[
        Seconds,
        about(
            "The ledger is copied beside itself after changes, at most this often (a large one less often), and at a "
            "clean stop; one that breaks is made again from that copy and from all else that is known."
        ),
    ] = 3600.0
    files: Annotated[FilesConfig, about("Files that are uploaded for jobs: docs/how-to/files.md.")] = FilesConfig()

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

    name: Annotated[Name, about("Names the worker in `edge status`; each worker of a board needs its own.")] = "main"
    time_limit_s: Annotated[
        Seconds | None, about("Ends a job that runs longer and has no limit of its own. null: no limit.")
    ] = None
    stop_grace_s: Annotated[
        float,
        Meta(ge=0, le=3600),
        about("What a running job gets to come to an end when the worker is stopped, 0 to 3600."),
    ] = 10.0
    running_job: Annotated[
        Literal["finish", "hold", "freeze"],
        about(
            "What becomes of a running job when power no longer allows its class (at `critical` it gets "
            "power.critical.grace_s): finish: it goes on; hold: it stops at its next job.checkpoint(), job.progress() "
            "or job.check() and goes on there when power is back; freeze: its process is stopped wherever it is. Time "
            "held or frozen does not count for its limit."
        ),
    ] = "hold"
    cpu_watts: Annotated[
        Annotated[float, Meta(ge=0, le=1000)] | None,
        about(
            "What one busy core draws more than an idle one, to estimate a job's joules where nothing measures the "
            "board: about 0.5 on a Zero 2 W, 1.0 on a Pi 4, 1.5 on a Pi 5. null: what `edge power calibrate` learned, "
            "else 1.0."
        ),
    ] = None
    max_crashes: Annotated[
        Count,
        about("A job that takes its worker down this often is given up, with a result that says so."),
    ] = 3
    max_early_cuts: Annotated[
        int,
        Meta(ge=0),
        about(
            "A job is given up as well, as what may pull the voltage down, when the power goes so often in a row "
            "within so many seconds of its start and it has saved nothing in between. Power cuts later in a run never "
            "count, nor do those of a job whose checkpoint moves on. 0: never."
        ),
    ] = 5
    early_cut_s: Seconds = 60.0
    max_result_bytes: Annotated[
        int, Meta(ge=1024), about("Largest value a job may return; larger things belong into a file.")
    ] = 1 << 20
    max_artifact_bytes: Annotated[int, Meta(ge=1024), about("Largest sum of a job's files.")] = 256 << 20


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long finished jobs stay; open jobs are never touched."""

    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    keep_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head this board works for, where it has no broker and no gateway of its own."""

    head_url: Annotated[
        str | None,
        about("The head's gateway, https://HEAD:8420, where results are handed in. null: this board is its own head."),
    ] = None
    token_file: Annotated[
        Path | None,
        about("File with a token of scope node, made on the head by `edge token add NAME --scope node`."),
    ] = None
    ca_file: Annotated[Path | None, about("PEM file that vouches for the head. null: whom this machine trusts.")] = None

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

    root: Annotated[
        Path,
        about("Where jobs, results and the ledger are kept: a disk that survives a power cut. Relative to this file."),
    ] = Path("/var/lib/edge")
    run: Annotated[Path, about("What must not outlive a boot: a tmpfs.")] = Path("/run/edge")
    tasks: Annotated[tuple[ModuleName, ...], about("Python modules whose functions are the kinds of job.")] = (
        "tasks.solve",
        "tasks.chat",
        "tasks.factorial",
        "tasks.primes",
    )
    settings: Annotated[
        dict[str, JsonObject],
        about("What single tasks may be told, by the name of the task: `settings: {chat: {corpora: [english]}}`."),
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
            "How many jobs of a kind may be at work, on all workers and nodes together: "
            "`limits: {chat: {at_once: 1, per_minute: 30}}`. Others wait in the ledger and say so."
        ),
    ] = {}
    broker: Annotated[BrokerConfig, about("RabbitMQ, which holds the queues.")] = BrokerConfig()
    gateway: Annotated[GatewayConfig, about("HTTP for the LAN.")] = GatewayConfig()
    worker: Annotated[WorkerConfig, about("The process that runs the jobs.")] = WorkerConfig()
    workers: Annotated[
        tuple[WorkerEntry, ...],
        about(
            "The workers of this board: `workers: [{name: main}, {name: io, pool: threads, concurrency: 100}]`. Empty: "
            "the "
            "one that `worker` says, and one of threads named io where a kind of job has the pool io."
        ),
    ] = ()
    node: Annotated[
        NodeConfig,
        about(
            "A board that works for another one, the head, and has no broker and no gateway of its own: `broker` above "
            "is the head's."
        ),
    ] = NodeConfig()
    mqtt: Annotated[
        MqttConfig,
        about("The MQTT broker of the house: with `host` the board is a device in Home Assistant."),
    ] = MqttConfig()
    retention: Annotated[
        RetentionConfig,
        about("Ended jobs go, oldest first, when they are older or when all together are larger; open jobs never do."),
    ] = RetentionConfig()
    power: Annotated[PowerConfig, about("Where power comes from, and what is done when it is low.")] = PowerConfig()

    @property
    def own_worker(self) -> WorkerEntry:
        """The entry of the worker that `worker.name` names; one of the pool main where the list does not have it."""
        name = self.worker.name
        return entry_of(name, self.planned(io=self.threads)) or WorkerEntry(name)

    @property
    def scaled(self) -> tuple[WorkerEntry, ...]:
        """The entries of the list whose number of processes changes."""
        return tuple(entry for entry in self.workers if entry.scaled)

    @property
    def asks_head(self) -> bool:
        """True for the worker of a node that asks the head for its backlog: the first one that always runs."""
        always = [entry.name for entry in self.workers if not entry.scaled]
        return self.node.head_url is not None and bool(self.scaled) and self.worker.name == next(iter(always), "")

    @property
    def backlog(self) -> Path:
        """The file by which workers are scaled."""
        return self.layout.backlog if self.node.head_url is None else self.layout.head_backlog

    @property
    def threads(self) -> bool:
        """False where no worker may run bodies in threads: a process that is frozen would freeze all of them."""
        return self.worker.running_job != "freeze"

    def planned(self, *, io: bool) -> tuple[WorkerEntry, ...]:
        """The workers that this board is to run; `io`: it has kinds of the pool io."""
        return planned(self.workers, name=self.worker.name, io=io and self.threads)

    @property
    def layout(self) -> Layout:
        """The paths under `root` and `run`."""
        return Layout(self.root, self.run, node=self.node.head_url is not None)
