"""`/v1/events` on a real socket: a reader that reads nothing is dropped with a reason, and nobody waits for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from edge.access.tokens import Scope
from edge.gateway.api import events
from edge.gateway.api.events import EventQuery, EventRoutes
from edge.gateway.background.journal import Journal
from edge.gateway.background.readers import Readers
from edge.gateway.http.auth import Caller
from edge.gateway.http.route import Call
from edge.gateway.service import Appliance
from tests.unit.gateway.background.test_journal import row
from tests.unit.gateway.background.test_readers import made

_MANY = 3000  # about 1 MB: more than the buffers of socket and transport hold together


@asynccontextmanager
async def serving(readers: Readers) -> AsyncIterator[int]:
    """Serve the stream on a free port, with a send buffer that a test can fill. Yield the port."""
    routes = EventRoutes(
        cast(
            "Appliance",
            SimpleNamespace(readers=readers, config=SimpleNamespace(gateway=SimpleNamespace(max_wait_s=60))),
        )
    )

    async def handler(request: web.Request) -> web.StreamResponse:
        return await routes.stream(Call(request, Caller("lan", frozenset({Scope.READ})), EventQuery()))

    app = web.Application()
    app.router.add_get("/v1/events", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
    try:
        await web.SockSite(runner, listening).start()
        yield listening.getsockname()[1]
    finally:
        await runner.cleanup()


async def reader(port: int, *, buffer_bytes: int = 1 << 20) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, and read up to the first event id."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    link.setblocking(False)
    await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
    reading, writing = await asyncio.open_connection(sock=link, limit=buffer_bytes)
    writing.write(b"GET /v1/events HTTP/1.1\r\nHost: board\r\n\r\n")
    await reading.readuntil(b"id: ")
    return reading, writing


def change(journal: Journal, number: int) -> None:
    """Write one more accepted job into the journal."""
    journal.accepted([row(f"job-{number:05}-{'x' * 80}")])


def test_a_reader_that_reads_nothing_is_dropped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection ends with the event `dropped` and the reason. New events are not delayed by it."""
    monkeypatch.setattr(events, "_SLOW_S", 0.3)

    async def main() -> bytes:
        journal, readers, _ = made(size=2 * _MANY)
        async with serving(readers) as port:
            slow, writing = await reader(port, buffer_bytes=4096)
            for number in range(_MANY):
                change(journal, number)
            while len(readers):
                await asyncio.sleep(0.05)
            rest = b""
            while chunk := await slow.read(65536):
                rest += chunk
            writing.close()
            return rest

    rest = asyncio.run(asyncio.wait_for(main(), 30))
    assert rest.count(b"\nevent: job") < _MANY
    assert b"event: dropped\n" in rest
    assert b"took nothing for 0.3 s; come back with Last-Event-ID" in rest


def test_another_reader_gets_all_while_one_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other readers get their events without a delay."""
    monkeypatch.setattr(events, "_SLOW_S", 20.0)

    async def main() -> int:
        journal, readers, _ = made(size=2 * _MANY)
        async with serving(readers) as port:
            _, stuck = await reader(port, buffer_bytes=4096)
            quick, writing = await reader(port)
            for number in range(_MANY):
                change(journal, number)
            seen = b""
            while f"job-{_MANY - 1:05}".encode() not in seen:
                seen += await quick.read(65536)
            assert len(readers) == 2
            stuck.close()
            writing.close()
            return seen.count(b"event: job\n")

    assert asyncio.run(asyncio.wait_for(main(), 30)) == _MANY
