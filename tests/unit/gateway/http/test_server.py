"""The server listens on the configured address."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest
from aiohttp import web

from edge.gateway.http.server import Server


def _has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 here")
def test_two_colons_listen_on_ipv4_and_ipv6() -> None:
    """asyncio alone would take only IPv6, and clients with IPv4 could not connect."""

    async def reached() -> list[str]:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(web.Application(), host="::", port=port, max_connections=8)
        await server.open()
        found = []
        try:
            for host in ("127.0.0.1", "::1"):
                _, writer = await asyncio.open_connection(host, port)
                found.append(host)
                writer.close()
        finally:
            await server.close()
        return found

    assert asyncio.run(reached()) == ["127.0.0.1", "::1"]
