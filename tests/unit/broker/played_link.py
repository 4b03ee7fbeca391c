"""A simulated connection to a broker. It decodes what is published, and the test decides the answers of the broker."""

from __future__ import annotations

import socket
import struct
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import msgspec
from amqp import spec
from amqp.exceptions import NotFound
from amqp.serialization import loads

from edge.broker.border import Listener, QueueState, Transport


class Publish(msgspec.Struct, frozen=True):
    """One publish, decoded from the bytes on the connection."""

    queue: str
    mandatory: bool
    properties: dict[str, Any]
    body: bytes


class PlayedState:
    """The answer to a declaration of a queue."""

    message_count = 0
    consumer_count = 0


class PlayedChannel:
    """A channel that knows the exchanges of its link. All queues exist."""

    def __init__(self, link: PlayedLink) -> None:
        self.connection = link
        self.channel_id = 1
        self.events: dict[str, set[Listener]] = defaultdict(set)
        self.calls: list[str] = []

    def close(self) -> None:
        """Do nothing."""

    def confirm_select(self) -> None:
        """Record the call."""
        self.calls.append("confirm_select")

    def exchange_declare(self, exchange: str, passive: bool = False, **options: Any) -> None:
        """Declare an exchange, or raise NotFound if `passive` and it does not exist."""
        if not passive:
            self.connection.exchanges[exchange] = options
        elif exchange not in self.connection.exchanges:
            raise NotFound(f"no exchange {exchange!r}")

    def prepare_queue_arguments(self, arguments: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Return the arguments unchanged; kombu calls it."""
        return arguments

    def queue_declare(self, queue: str, **_options: Any) -> QueueState:
        """Record the call, and report an empty queue."""
        self.calls.append(f"declare {queue}")
        return PlayedState()


class PlayedLink:
    """A link over a pair of sockets. Each byte that waits in `sock` stands for one call in `_answers`."""

    def __init__(self, *, frame_max: int = 131_072) -> None:
        self.sock, self._peer = socket.socketpair()
        self.sock.setblocking(False)
        self.frame_max = frame_max
        self.server_properties: Mapping[str, object] = {}
        self.transport: Transport = self
        self.exchanges: dict[str, dict[str, Any]] = {}
        self.channels: list[PlayedChannel] = []
        self.written = bytearray()
        self._answers: deque[Callable[[], None]] = deque()

    def close(self) -> None:
        """Close both ends."""
        self.sock.close()
        self._peer.close()

    def channel(self) -> Any:
        """Open another channel."""
        self.channels.append(PlayedChannel(self))
        return self.channels[-1]

    def write(self, data: bytes) -> None:
        """Keep the bytes. It stands in for the method of the transport."""
        self.written += data

    def drain_events(self, timeout: float | None = None) -> None:
        """Give one answer of the broker, or raise TimeoutError if there is none."""
        assert timeout == 0
        try:
            self.sock.recv(1)
        except BlockingIOError as err:
            raise TimeoutError from err
        self._answers.popleft()()

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Answer that the broker has one publish; with `multiple`, also all publishes before it."""
        self.answer(lambda: self._emit("basic_ack", tag, multiple))

    def nack(self, tag: int) -> None:
        """Answer that the broker refuses a publish."""
        self.answer(lambda: self._emit("basic_nack", tag, False))

    def give_back(self, queue: str) -> None:
        """Answer that the broker has no queue for a publish."""
        self.answer(lambda: self._emit("basic_return", NotFound("NO_ROUTE"), "", queue, None))

    def fail(self) -> None:
        """Let the connection break at the next read."""

        def broken() -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

        self.answer(broken)

    def answer(self, call: Callable[[], None]) -> None:
        """Let the next read make this call."""
        self._answers.append(call)
        self._peer.send(b"x")

    def _emit(self, event: str, *args: object) -> None:
        for channel in self.channels:
            for listener in tuple(channel.events[event]):
                listener(*args)

    @property
    def published(self) -> list[Publish]:
        """All publishes so far, in order."""
        return list(_publishes(bytes(self.written), self.frame_max))


@contextmanager
def played_link(*, frame_max: int = 131_072) -> Iterator[PlayedLink]:
    """Yield a link that is closed at the end of the block."""
    with closing(PlayedLink(frame_max=frame_max)) as link:
        yield link


def _publishes(data: bytes, frame_max: int) -> Iterator[Publish]:
    frames = _frames(data, frame_max)
    for method, called in frames:
        assert (method, called[:4]) == (1, struct.pack(">HH", *spec.Basic.Publish))
        (_, _, queue, mandatory, _), _ = loads("Bssbb", called[4:], 0)
        header, content = next(frames)
        assert header == 2
        _, _, size, flags = struct.unpack(">HHQH", content[:14])
        names = ["content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id"]
        forms = ["s", "s", "F", "o", "o", "s"]
        there = [at for at in range(len(names)) if flags & 1 << (15 - at)]
        values, _ = loads("".join(forms[at] for at in there), content[14:], 0)
        body = b""
        while len(body) < size:
            more, part = next(frames)
            assert more == 3
            body += part
        yield Publish(queue, mandatory, dict(zip((names[at] for at in there), values, strict=True)), body)


def _frames(data: bytes, frame_max: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, channel, size = struct.unpack(">BHI", data[at : at + 7])
        assert channel == 1
        assert size + 8 <= frame_max, "RabbitMQ ends the connection over a larger frame"
        yield kind, data[at + 7 : at + 7 + size]
        assert data[at + 7 + size] == 0xCE
        at += 8 + size
