"""Finds free ports, and checks whether a broker answers on a port."""

from __future__ import annotations

import errno
import secrets
import socket
import struct
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import StackError

LOOPBACK = "127.0.0.1"
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Free ports are chosen from this one up to the first outgoing port, if that is at least `_LEAST_OUTGOING`.
_LOWEST_PORT, _LEAST_OUTGOING = 10_000, 12_001
_GREETING = b"AMQP\x00\x00\x09\x01"
_FRAME = struct.Struct(">BHI")
_CONNECTION_START = struct.pack(">HH", 10, 10)


@dataclass(frozen=True)
class NodePorts:
    """The three ports of a private broker, all on loopback."""

    amqp: int
    distribution: int
    epmd: int

    @classmethod
    def from_amqp(cls, port: int) -> NodePorts:
        """Return the configured ports: `broker.port` and the two after it."""
        return cls(port, port + 1, port + 2)

    def check_free(self) -> None:
        """Check that all three ports are free. Raises StackError with the first one that is not, and its key."""
        check_free(LOOPBACK, self.amqp, key="broker.port")
        check_free(LOOPBACK, self.distribution, key="broker.port + 1, Erlang distribution")
        check_free(LOOPBACK, self.epmd, key="broker.port + 2, Erlang port mapper")


def check_free(host: str, port: int, *, key: str) -> None:
    """Check that a program of ours can listen on `port`. Raises StackError, which names `key`, if it cannot."""
    if not 1 <= port <= 65535:
        raise StackError(f"port {port} ({key}): expected 1 to 65535")
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as err:
        what = "is in use" if err.errno == errno.EADDRINUSE else (err.strerror or str(err))
        raise StackError(f"port {port} ({key}) on {host}: {what}") from err


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports that the kernel does not use for outgoing connections.

    If the range of outgoing ports leaves too little room below it, any free port may be returned. From the outgoing
    range, the kernel could give a client that retries a stopped server this port as its source port. The client would
    connect to itself, and the server could not start.
    """
    first = int(_OUTGOING.read_text().split()[0])
    with ExitStack() as servers:
        free: list[int] = []
        while len(free) < count:
            port = secrets.choice(range(_LOWEST_PORT, first)) if first >= _LEAST_OUTGOING else 0
            with suppress(OSError):
                free.append(servers.enter_context(socket.create_server((LOOPBACK, port))).getsockname()[1])
        return free


def accepts(port: int, *, timeout_s: float = 1.0) -> bool:
    """Return True if a program accepts connections on `port` of loopback."""
    try:
        socket.create_connection((LOOPBACK, port), timeout_s).close()
    except OSError:
        return False
    return True


def speaks_amqp(port: int, *, timeout_s: float = 2.0) -> bool:
    """Return True if a broker on `port` of loopback answers the AMQP 0-9-1 greeting with Connection.Start.

    An open port proves nothing, because a broker accepts connections and closes them again while it boots.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s) as sock:
            sock.settimeout(timeout_s)
            sock.sendall(_GREETING)
            with sock.makefile("rb") as stream:
                frame_header = stream.read(_FRAME.size)
                method = stream.read(len(_CONNECTION_START))
    except OSError:
        return False
    return (
        len(frame_header) == _FRAME.size and _FRAME.unpack(frame_header)[:2] == (1, 0) and method == _CONNECTION_START
    )
