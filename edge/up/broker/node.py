"""A private RabbitMQ node: its own ports, cookie, password and store, beside any system broker."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from edge.config import BrokerConfig
from edge.core import durable
from edge.core.errors import StackError
from edge.up.broker import rabbitmq
from edge.up.broker.last_words import last_words, read_tail
from edge.up.broker.ports import LOOPBACK, NodePorts, accepts, speaks_amqp
from edge.up.child import Child


class Unwritable(StackError):
    """A file that the broker needs to start cannot be written; the sentence names it."""


class PrivateNode:
    """One private broker, with its whole state under `base`.

    `start`, `stop` and `kill` belong to one thread, best the main one: the kernel ends the broker with
    the thread that started it.
    """

    def __init__(self, base: Path, ports: NodePorts, *, user: str = "edge", server: Path | None = None) -> None:
        self.base = base.absolute()
        self.ports = ports
        self.user = user
        self._server = server
        self._port = ports.amqp
        self._epmd: Child | None = None
        self._broker: Child | None = None

    @property
    def password_file(self) -> Path:
        """Holds the password of `user`; made at the first start, mode 0600."""
        return self.base / "password"

    @property
    def log(self) -> Path:
        """The broker's own log."""
        return self.base / "log" / f"{rabbitmq.NODE_NAME}.log"

    @property
    def console(self) -> Path:
        """What the broker printed since its last start."""
        return self.base / "log" / "console.log"

    @property
    def epmd_console(self) -> Path:
        """What Erlang's port mapper printed since its last start."""
        return self.base / "log" / "epmd.log"

    @property
    def store(self) -> Path:
        """Queues, users and messages."""
        return self.base / "store"

    @property
    def config(self) -> BrokerConfig:
        """How to reach this node."""
        return BrokerConfig(host=LOOPBACK, port=self.ports.amqp, user=self.user, password_file=self.password_file)

    @property
    def children(self) -> tuple[Child, ...]:
        """The started processes, broker first."""
        return tuple(child for child in (self._broker, self._epmd) if child is not None)

    @property
    def running(self) -> bool:
        """True while the broker's process lives."""
        return self._broker is not None and self._broker.exit_code is None

    @property
    def pid(self) -> int:
        """Process id of the broker; 0 when it was not started."""
        return self._broker.pid if self._broker else 0

    @property
    def epmd_answers(self) -> bool:
        """True when Erlang's port mapper accepts connections."""
        return accepts(self.ports.epmd)

    @property
    def answers(self) -> bool:
        """True when the broker speaks AMQP."""
        return speaks_amqp(self._port, timeout_s=0.5)

    def listen(self, port: int) -> None:
        """Let the broker speak AMQP at `port` from its next start on: its own, or one that nobody else knows."""
        self._port = port
        with self._named():
            self._write()

    def start(self, *, timeout_s: float = 90.0) -> None:
        """Bring the node up and return once it answers AMQP.

        Raises StackError, with nothing left running: a port in use, a missing program, a broker that
        died or stayed silent for `timeout_s`.
        """
        if self.running:
            return
        self.stop()
        self.prepare()
        deadline = time.monotonic() + timeout_s
        try:
            self._await(self.launch_epmd(), lambda: self.epmd_answers, deadline)
            self._await(self.launch_broker(), lambda: self.answers, deadline)
        except BaseException:  # a Ctrl-C during the wait too
            self.kill()
            raise

    def prepare(self) -> None:
        """Check programs and ports, and write password, cookie and settings; raises StackError."""
        rabbitmq.find_server(self._server)
        rabbitmq.find_epmd()
        self.ports.check_free()
        with self._named():
            self._write()

    def launch_epmd(self) -> Child:
        """Start Erlang's port mapper in the foreground: ours alone, and no daemon that stays behind."""
        port = str(self.ports.epmd)
        self._epmd = self._launch(
            [str(rabbitmq.find_epmd()), "-address", LOOPBACK, "-port", port, "-relaxed_command_check"],
            self.epmd_console,
        )
        return self._epmd

    def launch_broker(self) -> Child:
        """Start the broker, which needs the port mapper; it answers some seconds later."""
        self._broker = self._launch([str(rabbitmq.find_server(self._server))], self.console)
        return self._broker

    def stop(self, *, grace_s: float = 30.0) -> None:
        """End the broker cleanly, then its port mapper; does nothing when it is not running."""
        for child in self.children:
            child.end(grace_s)
            child.close()
        self._broker = self._epmd = None

    def kill(self) -> None:
        """SIGKILL both, as a crash would."""
        for child in self.children:
            child.kill()
            child.wait()
            child.close()
        self._broker = self._epmd = None

    def last_words(self) -> str:
        """Why the broker ended, as far as it said so, and the log to read on."""
        words = last_words(read_tail(self.console)) or last_words(read_tail(self.log)) or "it printed nothing"
        return f"{words} (log: {self.log if self.log.exists() else self.console})"

    @property
    def settled(self) -> bool:
        """True once this store has been through `settle`."""
        return (self.store / "settled").exists()

    def settle(self) -> None:
        """Mark a new store as durable: its queues were declared and the broker was stopped cleanly. Raises StackError.

        RabbitMQ 3.10 writes the tables of a new queue late, and never syncs them: when it is killed in its
        first second a queue comes back without a leader, and whoever consumes from it waits for ever.
        A clean stop writes them; the sync keeps them from a power cut.
        """
        sync = ["sync", "-f", str(self.store)]
        done = subprocess.run(sync, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        try:
            if done.returncode:
                raise OSError(done.returncode, done.stderr.strip())
            durable.replace(self.store / "settled", b"")
        except OSError as err:
            raise StackError(f"the broker's new store cannot be made safe: {err.strerror}") from err

    def set_aside(self, why: str) -> Path | None:
        """Move the store away with a note, never deleting it, so that the next start makes a new one; None: no store.

        The folder is numbered, for a board's clock may have been wrong each time.
        """
        if not self.store.exists():
            return None
        aside = self._unused("store.set-aside")
        date = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with self._named():
            self.store.rename(aside)
            durable.sync_folder(self.base)
            durable.replace(aside / "WHY.txt", f"Set aside {date}, as far as the board knew the time: {why}\n".encode())
            durable.make_folder(self.store, mode=0o700)
        return aside

    def put_back(self, aside: Path) -> None:
        """Put a store back that was set aside; the new one, which failed too, is kept as `store.no-better-N`."""
        self.store.rename(self._unused("store.no-better"))
        aside.rename(self.store)
        durable.sync_folder(self.base)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Raise Unwritable with a path for an OSError in the block: errors of a full disk do not name the file."""
        try:
            yield
        except OSError as err:
            raise Unwritable(f"the broker cannot write {err.filename or self.base}: {err.strerror or err}") from err

    def _unused(self, name: str) -> Path:
        number = 1
        while (path := self.base / f"{name}-{number}").exists():
            number += 1
        return path

    def _write(self) -> None:
        """Password, cookie and settings, each durable before Erlang reads it."""
        etc = self.base / "etc"
        for folder in (self.store, self.base / "log", etc / "conf.d", self.base / "generated" / "schema"):
            durable.make_folder(folder, mode=0o700)
        try:
            password = self.password_file.read_text().strip()
        except FileNotFoundError:
            password = ""
        if not password:
            password = secrets.token_urlsafe(24)
            durable.replace(self.password_file, f"{password}\n".encode(), mode=0o600)
        cookie = self.base / ".erlang.cookie"
        # Erlang never syncs the cookie it makes: after a power cut it is empty and the node does not boot.
        if not cookie.exists() or cookie.stat().st_size < 20:
            cookie.unlink(missing_ok=True)
            durable.replace(cookie, secrets.token_hex(20).upper().encode(), mode=0o400)
        text = rabbitmq.conf(port=self._port, user=self.user, password=password)
        for name, content in (("rabbitmq.conf", text), ("advanced.config", "[].\n"), ("enabled_plugins", "[].\n")):
            path = etc / name
            if not path.exists() or path.read_text() != content:
                durable.replace(path, content.encode(), mode=0o600)

    def _launch(self, argv: list[str], console: Path) -> Child:
        with self._named(), console.open("wb") as output:
            return Child(argv, env=rabbitmq.environment(self.base, self.ports), cwd=self.base, output=output)

    def _await(self, child: Child, ready: Callable[[], bool], deadline: float) -> None:
        """Return when `ready()`; raise StackError when `child` ends or the deadline passes."""
        delay = 0.02
        while not ready():
            left = deadline - time.monotonic()
            code = child.wait(min(delay, max(left, 0.0)))
            if code is not None:
                raise StackError(f"RabbitMQ ended with code {code}: {self.last_words()}")
            if left <= 0:
                raise StackError(f"RabbitMQ does not answer on port {self.ports.amqp}: {self.last_words()}")
            delay = min(delay * 1.5, 0.5)
