"""Runs the board under test: the whole stack, with its state on the volatile disk, in processes that all end at once.

The processes live in a private PID and mount namespace. The kernel kills them all together with the first one, so no
process escapes a cut by leaving its process group. Each power-on also gets a new boot id.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from edge.broker import topology
from edge.config import Config, load
from edge.model import Pool, Power, WorkerState, WorkerStatus
from edge.results.store import Results
from edge.up.broker import rabbitmq
from edge.up.broker.ports import NodePorts, free_ports
from tests.powercut import probe, programs
from tests.powercut.disk import Cut
from tests.powercut.volume import Volume

REPOSITORY = Path(__file__).parents[2]
READY_S = 240.0
_START = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && "$@"; exit $?'


Part = Literal["gateway", "worker", "broker"]
Target = Part | Literal["proxy"]
#: Text in the command line by which a process of the board is recognised.
_COMMANDS: dict[Target, str] = {
    "gateway": "edge.gateway",
    "worker": "edge.worker",
    "broker": "beam.smp",
    "proxy": "powercut.proxy",
}
_IN_HAND = """
Of = fun(Name) ->
    {ok, {_, Count}, _} = ra:local_query({Name, node()}, fun rabbit_fifo:query_messages_checked_out/1),
    Count
end,
lists:sum([Of(Name) || Name <- [%s]]).
"""


class Recovery(msgspec.Struct, frozen=True):
    """Seconds of one power-on: to mount and replay the journal, to start the broker, and until the stack is ready."""

    mount_s: float
    broker_s: float
    ready_s: float


class NotReady(RuntimeError):
    """The stack did not start by itself."""


class Board:
    """One board under `folder`, optionally with a seeded `bug`; it can be powered on and cut any number of times."""

    def __init__(
        self,
        folder: Path,
        *,
        bug: str = "",
        probed: bool = False,
        io: bool = False,
        scaled: bool = False,
        commands: bool = False,
        keep_files_s: float = 0.001,
    ) -> None:
        """Prepare a board that is off.

        Args:
            folder: Holds the disk image, the logs and the files of the rig.
            bug: The name of a seeded bug; empty for none.
            probed: The workers log to `groups` how many results they commit together.
            io: Add a worker of threads.
            scaled: Add a worker that the governor starts and retires.
            commands: Add the kinds of job that are programs.
            keep_files_s: How long the gateway keeps a file that no open job needs, so that the volume has room for
                the next ones. A running gateway keeps each file for longer.
        """
        self.folder = folder
        self.volume = Volume(folder)
        self.bug, self.probed, self._io, self._scaled = bug, probed, io, scaled
        self._keep_files_s, self._commands = keep_files_s, commands
        self.groups = folder / "groups.log"
        self.proxied = False  # True: the broker is reached through a proxy that can be cut
        self.run = folder / "run"
        self.runs = folder / "runs.log"
        self.log = folder / "board.log"
        self.port, self.broker_port = _ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._notify: socket.socket | None = None
        self._on_at = self._mount_s = 0.0
        self.boots = 0

    @property
    def root(self) -> Path:
        """The state root of the board, on the volume."""
        return self.volume.mount / "edge"

    @property
    def config(self) -> Config:
        """The board's configuration; only while attached."""
        return load(self.root / "edge.yaml", env={}).config

    @property
    def results(self) -> Results:
        """The result folder as the running board sees it."""
        return Results(self.config.layout)

    @property
    def since_on_s(self) -> float:
        """Seconds since power-on."""
        return time.monotonic() - self._on_at

    def attach(self) -> None:
        """Power on the disk and mount it; no process runs yet. The contents of /run are gone."""
        self._on_at = time.monotonic()
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir(parents=True)
        self.volume.attach()
        self._mount_s = time.monotonic() - self._on_at

    def configure(self) -> None:
        """Write the edge.yaml of this board durably; the volume must be attached."""
        self.root.mkdir(parents=True, exist_ok=True)
        tree: dict[str, object] = {
            "root": ".",
            "run": str(self.run),
            "tasks": ["tests.powercut.jobs", *(["tests.powercut.io_jobs"] if self._io else [])],
            "broker": {"port": self.broker_port, "user": "edge", "password_file": "broker/password"},
            "gateway": {
                "port": self.port,
                "loopback_without_token": True,
                "files": {"spare_bytes": 64 << 20, "keep_s": self._keep_files_s},
            },
        }
        if self._commands:
            tree["commands"] = programs.commands()
        if self._scaled:
            extra = {"name": "extra", "max": 2, "down_after_s": 10}
            tree["workers"] = [{"name": "main"}, extra, *([{"name": "io", "pool": "threads"}] if self._io else [])]
        (self.root / "edge.yaml").write_text(yaml.safe_dump(tree))
        self.volume.sync()

    def start(self, *, alone: bool = False) -> None:
        """Start the stack on the attached volume with two workers, or one if `alone`; return without waiting for it."""
        self.boots += 1
        boot_id = self.folder / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(os.fspath(notify))
        space = ["unshare", "--fork", "--pid", "--mount", "--propagation", "private", "--mount-proc", "--kill-child"]
        how = [*(["proxied"] if self.proxied else []), *(["alone"] if alone else [])]
        board = [sys.executable, "-m", "tests.powercut.board", str(self.root), *how]
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *space, "--", "sh", "-c", _START, "sh", str(boot_id), *board],
                cwd=REPOSITORY,
                env=self._environment(notify),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self) -> Recovery:
        """Wait until the stack reports that it is ready.

        Raises:
            NotReady: The stack ended or was not ready within `READY_S`; the message has its last lines of log.
        """
        assert self._notify is not None
        assert self._process is not None
        deadline = self._on_at + READY_S
        poll = select.poll()
        poll.register(self._notify, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(min(left, 0.5) * 1000):
                fields = dict(line.partition("=")[::2] for line in self._notify.recv(4096).decode().splitlines())
                if fields.get("READY") == "1":
                    return Recovery(self._mount_s, float(fields["X_EDGE_BROKER_S"]), self.since_on_s)
            elif self._process.poll() is not None:
                raise NotReady(f"the stack ended by itself with {self._process.returncode}: {self.last_lines()}")
        raise NotReady(f"the stack is not ready after {READY_S:g} s: {self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of the board's log, joined to one line."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-3:])

    def cut(self, seed: int) -> Cut:
        """Cut the power: first of the disk, then kill every process, then detach the disk."""
        cut = self.volume.cut(seed)
        self.off()
        return cut

    def off(self) -> None:
        """Kill every process and detach the disk; unflushed data is lost. Idempotent."""
        self.halt()
        self.volume.detach()

    def halt(self) -> None:
        """Kill every process; the disk stays attached. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    def processes(self) -> list[int]:
        """Return the ids of every process of the board, as seen from outside its PID namespace."""
        assert self._process is not None
        found, todo = [], [self._process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with suppress(OSError):
                todo += [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def signal(self, part: Target, number: signal.Signals) -> None:
        """Send a signal to every process of one part of the stack."""
        for pid in self.processes():
            if _COMMANDS[part] in _command(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def ask_broker(self, erlang: str) -> str:
        """Let the running broker evaluate an Erlang expression, and return its output."""
        base = self.config.layout.broker
        ports = NodePorts.from_amqp(behind(self.broker_port) if self.proxied else self.broker_port)
        env = rabbitmq.environment(base, ports) | {"RABBITMQ_CTL_ERL_ARGS": ""}
        ctl = rabbitmq.find_server().with_name("rabbitmqctl")
        done = subprocess.run(
            [ctl, "--quiet", "eval", erlang],
            env=env,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout.strip()

    def in_hand(self) -> int:
        """Return how many messages are delivered to workers and not settled yet.

        The figure is read from the state of the queues, because RabbitMQ's listing is up to five seconds old.
        """
        pools = Pool if self._io else (Pool.MAIN,)
        queues = [topology.queue_name(power, pool=pool) for pool in pools for power in Power]
        names = ", ".join(f"'%2F_{name}'" for name in queues)
        return int(self.ask_broker(_IN_HAND % names))

    def statuses(self) -> list[WorkerStatus]:
        """Return the status that each running worker of this power-on reports."""
        folder = self.config.layout.worker("main").parent
        found = [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in folder.glob("worker-*.json")]
        return [status for status in found if status.state is not WorkerState.STOPPED]

    def bodies(self) -> tuple[int, int]:
        """Return (bodies begun, jobs they belong to) since the board was made."""
        lines = self.runs.read_text().split() if self.runs.exists() else []
        return len(lines), len(set(lines))

    def _environment(self, notify: Path) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
        env |= {"NOTIFY_SOCKET": str(notify), "POWERCUT_RUNS": str(self.runs)}
        if self.bug:
            env["POWERCUT_BUG"] = self.bug
        if self.probed:
            env[probe.GROUPS] = str(self.groups)
        if self.bug or self.probed:
            env["PYTHONPATH"] = str(Path(__file__).parent / "inject")
        return env


def behind(port: int) -> int:
    """Return the port at which the broker listens if a proxy listens at `port`."""
    return port + 5000


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _ports() -> tuple[int, int]:
    """Find a free port for the gateway, and the first of three consecutive free ports for the broker."""
    (gateway,) = free_ports(1)
    rng = random.Random()
    while True:
        first = rng.randrange(20_000, 27_000)  # also `behind` it stays below the ports of outgoing connections
        try:
            for port in (*range(first, first + 3), *range(behind(first), behind(first) + 3)):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return gateway, first
