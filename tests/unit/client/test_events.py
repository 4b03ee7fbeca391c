"""The stream of events notices a connection that no longer works."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing

import pytest

from edge.client import Client, events
from edge.client.settings import Settings
from edge.core.errors import EdgeError

OPENED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nid: 1-0\n\r\n1\r\n\n\r\n"


def test_a_silent_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board without power does not even end the connection. A caller that waits only briefly notices it, too."""
    monkeypatch.setattr(events, "_SILENT_S", 0.2)
    outages: list[EdgeError] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        settings = Settings(f"http://127.0.0.1:{listening.getsockname()[1]}", connect_s=1.0, read_s=5.0)
        accepted: list[socket.socket] = []

        def serve() -> None:
            sock, _ = listening.accept()
            accepted.append(sock)
            sock.sendall(OPENED)
            listening.close()  # so nothing answers the next try

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Client(settings=settings) as client, client.event_stream(on_outage=outages.append) as stream:
            stream.open()
            thread.join(10)
            connected = [stream.connected]
            deadline = time.monotonic() + 20
            while not outages and time.monotonic() < deadline:
                assert stream.next(0.05) is None
            assert "cannot reach the gateway" in str(outages[0])
            assert [*connected, stream.connected] == [True, False]
        accepted[0].close()
