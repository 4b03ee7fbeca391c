"""The output of a program tells its reader which bytes the board has not kept."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from edge.client import Client
from edge.client.settings import Settings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nEdge-Offset: 5\r\nConnection: close\r\n\r\nend"


@pytest.mark.parametrize("name", ["on_gap", "on_cut"])
def test_the_number_of_missing_bytes_is_passed_on(name: str) -> None:
    """`on_gap` gets the number. Its earlier name `on_cut` still works."""
    gaps: list[int] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                sock.recv(1 << 16)
                sock.sendall(ANSWER)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Client(settings=Settings(f"http://127.0.0.1:{listening.getsockname()[1]}", patience_s=0.0)) as client:
            chunks = client.output("0001-job", on_gap=gaps.append) if name == "on_gap" else None
            chunks = client.output("0001-job", on_cut=gaps.append) if chunks is None else chunks
            assert b"".join(chunks) == b"end"
        thread.join(10)
    assert gaps == [5]
