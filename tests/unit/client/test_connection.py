"""Requests and answers byte by byte, against a server that follows a script."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO

import pytest

from edge.client.connection import Address, Answer, Connections, LinkError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """Answers the n-th request with the n-th answer. If an answer ends in None, the connection is closed after it."""

    def __init__(self, *answers: bytes | tuple[bytes, None]) -> None:
        self._answers = iter(answers)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError, StopIteration):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                with sock:
                    self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        while got := sock.recv(1 << 20):
            while b"\r\n\r\n" not in got:
                got += sock.recv(1 << 20)
            self.requests.append(got)
            answer = next(self._answers)
            sock.sendall(answer if isinstance(answer, bytes) else answer[0])
            if not isinstance(answer, bytes):
                return

    def close(self) -> None:
        self._listening.close()


Ask = Callable[..., Answer]
Begin = Callable[..., tuple[Script, Ask]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Return a function that starts a server with a script, and returns the server and a way to send requests."""
    undo: list[Callable[[], None]] = []

    def start(*answers: bytes | tuple[bytes, None]) -> tuple[Script, Ask]:
        script = Script(*answers)
        connections = Connections(Address(script.url))
        undo.extend((connections.close, script.close))

        def ask(method: str = "GET", body: bytes | None = None, read_s: float = 5.0) -> Answer:
            return connections.request(method, "/v1/x", headers={"A": "b"}, body=body, connect_s=5.0, read_s=read_s)

        return script, ask

    yield start
    for each in undo:
        each()


def test_a_small_body_goes_out_with_its_headers(begin: Begin) -> None:
    """Both are in one packet, so the other end wakes up once."""
    script, ask = begin(OK)
    assert ask("POST", b"{}").data == b"ok"
    (request,) = script.requests
    assert request.startswith(b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert request.endswith(b"\r\nA: b\r\nContent-Length: 2\r\n\r\n{}")


def test_a_connection_is_used_again(begin: Begin) -> None:
    """It is used again after its answer was read to the end."""
    script, ask = begin(OK, OK, OK)
    assert [ask().data for _ in range(3)] == [b"ok"] * 3
    assert script.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    """After a restart of the gateway a new connection is opened without an error."""
    script = Script((OK, None), OK)
    connections = Connections(Address(script.url))

    def ask() -> bytes:
        return connections.request("GET", "/", headers={}, body=None, connect_s=5.0, read_s=5.0).data

    assert ask() == b"ok"
    (idle,) = connections._idle
    deadline = time.monotonic() + 10
    while idle.usable():
        assert time.monotonic() < deadline
    assert ask() == b"ok"
    assert script.connections == 2
    connections.close()
    script.close()


def test_an_answer_that_was_not_read_costs_its_connection(begin: Begin) -> None:
    """Its remaining bytes would be taken for the next answer."""
    script, ask = begin(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno", OK)
    ask().close()
    assert ask().data == b"ok"
    assert script.connections == 2


def test_an_answer_is_closed_once(begin: Begin) -> None:
    """A second close must not affect a connection that another request uses by then."""
    script, ask = begin(OK, OK)
    answer = ask()
    assert b"".join(answer.stream()) == b"ok"
    second = ask()
    answer.close()
    assert second.data == b"ok"
    assert script.connections == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:  2 \r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_every_way_to_end_a_body_is_understood(begin: Begin, answer: bytes, body: bytes) -> None:
    """The connection can be used again after it."""
    script, ask = begin(answer, OK)
    assert ask().data == body
    assert ask().data == b"ok"
    assert script.connections == 1


def test_a_body_may_end_with_the_connection(begin: Begin) -> None:
    """A proxy that speaks HTTP/1.0 ends it in this way."""
    _, ask = begin((b"HTTP/1.0 200 OK\r\n\r\nall of it", None))
    assert ask().data == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 O",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_none(begin: Begin, answer: bytes) -> None:
    """A part of a result is never returned as a whole one."""
    _, ask = begin((answer, None))
    with pytest.raises(LinkError, match="connection was lost"):
        _ = ask().data


@pytest.mark.parametrize(
    "answer",
    [
        b"220 smtp.example ESMTP\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_does_not_speak_http_is_named(begin: Begin, answer: bytes) -> None:
    """The error is one phrase."""
    _, ask = begin((answer, None))
    with pytest.raises(LinkError, match="does not speak HTTP"):
        _ = ask().data


def test_silence_is_told_with_its_limit(begin: Begin) -> None:
    """This holds in the middle of a body too."""
    _, ask = begin(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    with pytest.raises(LinkError, match=r"no answer within 0\.2 s"):
        _ = ask(read_s=0.2).data


def test_a_file_is_sent_in_pieces() -> None:
    """Its length is sent before its content."""
    content = bytes(range(256)) * 1000
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                while len(received.partition(b"\r\n\r\n")[2]) < len(content):
                    received.extend(sock.recv(1 << 20))
                sock.sendall(OK)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        connections = Connections(Address(f"http://127.0.0.1:{listening.getsockname()[1]}"))
        headers = {"Content-Length": str(len(content))}
        answer = connections.request("PUT", "/f", headers=headers, body=BytesIO(content), connect_s=5.0, read_s=5.0)
        assert answer.data == b"ok"
        connections.close()
        thread.join(10)
    assert bytes(received).partition(b"\r\n\r\n")[2] == content


@pytest.mark.parametrize(
    ("url", "host", "base"),
    [
        ("http://board", "board", ""),
        ("http://board:8420/", "board:8420", ""),
        ("https://board:443/edge", "board", "/edge"),
        ("http://[::1]:8420", "[::1]:8420", ""),
        ("http://gerät.example:80/a b", "xn--gert-noa.example", "/a%20b"),
    ],
)
def test_an_address_is_read_as_others_read_it(url: str, host: str, base: str) -> None:
    """It gives the Host header, and the path before each path of a request."""
    address = Address(url)
    assert (address.host, address.base) == (host, base)
