"""Runs a private RabbitMQ node with its own ports, cookie, password and store, independent of a system broker."""

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
    """A file that the broker needs for its start cannot be written. The message names the file."""


class PrivateNode:
    """One private broker, with its whole state under `base`.

    `start`, `stop` and `kill` belong to one thread, best the main thread, because the kernel kills the broker when the
    thread that started it ends.
    """

    def __init__(self, base: Path, ports: NodePorts, *, user: str = "edge", server: Path | None = None) -> None:
        """Describe the node; nothing is started.

        Args:
            base: folder for its whole state.
            ports: its ports.
            user: name of its only user.
            server: path of another rabbitmq-server than the installed one.
        """
        self.base = base.absolute()
        self.ports = ports
        self.user = user
        self._server = server
        self._port = ports.amqp
        self._epmd: Child | None = None
        self._broker: Child | None = None

    @property
    def password_file(self) -> Path:
        """Path of the file with the password of `user`. It is made at the first start, with mode 0600."""
        return self.base / "password"

    @property
    def log(self) -> Path:
        """Path of the broker's own log."""
        return self.base / "log" / f"{rabbitmq.NODE_NAME}.log"

    @property
    def console(self) -> Path:
        """Path of the file with the output of the broker since its last start."""
        return self.base / "log" / "console.log"

    @property
    def epmd_console(self) -> Path:
        """Path of the file with the output of Erlang's port mapper since its last start."""
        return self.base / "log" / "epmd.log"

    @property
    def store(self) -> Path:
        """Folder with queues, users and messages."""
        return self.base / "store"

    @property
    def config(self) -> BrokerConfig:
        """Settings for a connection to this node."""
        return BrokerConfig(host=LOOPBACK, port=self.ports.amqp, user=self.user, password_file=self.password_file)

    @property
    def children(self) -> tuple[Child, ...]:
        """The started processes, broker first."""
        return tuple(child for child in (self._broker, self._epmd) if child is not None)

    @property
    def running(self) -> bool:
        """True while the process of the broker runs."""
        return self._broker is not None and self._broker.exit_code is None

    @property
    def pid(self) -> int:
        """Process id of the broker, or 0 if it was not started."""
        return self._broker.pid if self._broker else 0

    @property
    def epmd_answers(self) -> bool:
        """True if Erlang's port mapper accepts connections."""
        return accepts(self.ports.epmd)

    @property
    def answers(self) -> bool:
        """True if the broker answers an AMQP greeting."""
        return speaks_amqp(self._port, timeout_s=0.5)

    def listen(self, port: int) -> None:
        """Let the broker listen on `port` from its next start on.

        This is the configured port, or one that no other process knows.

        Raises:
            Unwritable: the settings cannot be written.
        """
        self._port = port
        with self._named():
            self._write()

    def start(self, *, timeout_s: float = 90.0) -> None:
        """Start the node, and return when it answers AMQP.

        Raises:
            StackError: a port is in use, a program is missing, or the broker ended or did not answer for `timeout_s`.
                Nothing is left running.
        """
        if self.running:
            return
        self.stop()
        self.prepare()
        deadline = time.monotonic() + timeout_s
        try:
            self._await(self.launch_epmd(), lambda: self.epmd_answers, deadline)
            self._await(self.launch_broker(), lambda: self.answers, deadline)
        except BaseException:  # also a Ctrl-C during the wait
            self.kill()
            raise

    def prepare(self) -> None:
        """Check programs and ports, and write password, cookie and settings. Raises StackError."""
        rabbitmq.find_server(self._server)
        rabbitmq.find_epmd()
        self.ports.check_free()
        with self._named():
            self._write()

    def launch_epmd(self) -> Child:
        """Start a port mapper of Erlang for this node only, in the foreground, so that no daemon stays behind."""
        port = str(self.ports.epmd)
        self._epmd = self._launch(
            [str(rabbitmq.find_epmd()), "-address", LOOPBACK, "-port", port, "-relaxed_command_check"],
            self.epmd_console,
        )
        return self._epmd

    def launch_broker(self) -> Child:
        """Start the broker, which needs the port mapper. It answers some seconds later."""
        self._broker = self._launch([str(rabbitmq.find_server(self._server))], self.console)
        return self._broker

    def stop(self, *, grace_s: float = 30.0) -> None:
        """Stop the broker cleanly, then its port mapper. Nothing happens if they do not run."""
        for child in self.children:
            child.end(grace_s)
            child.close()
        self._broker = self._epmd = None

    def kill(self) -> None:
        """Kill broker and port mapper at once, like a crash."""
        for child in self.children:
            child.kill()
            child.wait()
            child.close()
        self._broker = self._epmd = None

    def last_words(self) -> str:
        """Return why the broker ended, according to its output, with the path of the log."""
        words = last_words(read_tail(self.console)) or last_words(read_tail(self.log)) or "it printed nothing"
        return f"{words} (log: {self.log if self.log.exists() else self.console})"

    @property
    def settled(self) -> bool:
        """True if `settle` has marked this store as durable."""
        return (self.store / "settled").exists()

    def settle(self) -> None:
        """Make a new store durable, and mark it. The queues must be declared and the broker must be stopped cleanly.

        RabbitMQ 3.10 writes the tables of a new queue late, and never syncs them. If it is killed in its first second,
        a queue comes back without a leader, and its consumers wait forever. A clean stop writes the tables, and the
        sync protects them from a power cut.

        Raises:
            StackError: the store cannot be synced or marked.
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
        """Rename the store, so that the next start makes a new one, and add a note with the reason.

        The new name has a number instead of a date, because the clock of the board may be wrong.

        Args:
            why: the reason, for the note.

        Returns:
            The new path of the store, or None if there is no store.

        Raises:
            Unwritable: the store cannot be renamed or the note not written.
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
        """Put back a store that was set aside. The new store, which failed too, is kept as `store.no-better-N`."""
        self.store.rename(self._unused("store.no-better"))
        aside.rename(self.store)
        durable.sync_folder(self.base)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn an OSError in the block into Unwritable with a path, because errors of a full disk name no file."""
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
        """Write password, cookie and settings. Each is durable before Erlang reads it."""
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
        # Erlang never syncs a cookie that it makes. After a power cut it could be empty, and the node would not boot.
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
        """Wait until `ready()` is true. Raises StackError if `child` ends or the deadline passes."""
        delay = 0.02
        while not ready():
            left = deadline - time.monotonic()
            code = child.wait(min(delay, max(left, 0.0)))
            if code is not None:
                raise StackError(f"RabbitMQ ended with code {code}: {self.last_words()}")
            if left <= 0:
                raise StackError(f"RabbitMQ does not answer on port {self.ports.amqp}: {self.last_words()}")
            delay = min(delay * 1.5, 0.5)
