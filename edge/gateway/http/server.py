"""Listens for connections, limits how many are open, and refuses further ones with a clear answer."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any
from weakref import WeakSet

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from edge.core.errors import StackError, expect_type, not_none
from edge.gateway.http import problems
from edge.gateway.http.problems import Busy

access_log = logging.getLogger("edge.access")

#: A connection is closed if no whole request arrives for this time, also while headers arrive slowly.
_IDLE_S = 75.0
_STOP_S = 5.0
_HANDSHAKE_S = 15.0
_LINGER_S = 2.0
_MAX_LINGERING = 64


class AccessLog(AbstractAccessLogger):
    """Logs one short line for each request. It has no query and no header, so no token ever gets into a log."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log a request: successful ones only at debug level, because a board answers requests all day long."""
        level = logging.INFO if response.status >= 400 else logging.DEBUG
        if not access_log.isEnabledFor(level):
            return
        path = request.rel_url.raw_path[:200]
        access_log.log(level, "%s %s %s %d %.1fms", request.remote, request.method, path, response.status, time * 1000)

    @property
    def enabled(self) -> bool:
        """Return False if no line would be logged."""
        return access_log.isEnabledFor(logging.INFO)


class _Protocol(web.RequestHandler):
    """A connection of aiohttp that answers bytes that are not HTTP with a problem document, without a traceback."""

    def __init__(self, server: web.Server, open_ones: WeakSet[_Protocol], *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=access_log,
            access_log_class=AccessLog,
            keepalive_timeout=_IDLE_S,
            lingering_time=_STOP_S,
        )
        self._open_ones = open_ones
        open_ones.add(self)
        # aiohttp refuses an `Expect` header that it does not know before any middleware runs.
        self._request_handler = problems.outermost(server.request_handler)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove this connection from the count of open ones."""
        self._open_ones.discard(self)
        super().connection_lost(exc)

    def log_exception(self, *args: object, **kw: Any) -> None:  # `Any`: aiohttp's signature
        """Log an error outside a handler. A broken body that no handler read is logged only at debug level.

        Such a body is the client's fault.
        """
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            self.logger.debug("a body that was not read is garbled: %s", kw["exc_info"])
        else:
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP with 400, and an error outside our middleware with 500."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; no other can be sent")
        if status >= 500:
            self.logger.error("%s from %s", type(exc).__name__, request.remote, exc_info=exc)
            problem = problems.of(exc or RuntimeError())
        else:
            lines = (message or "").splitlines()
            problem = problems.of(problems.BadRequest(f"not HTTP: {lines[0].rstrip(':')}" if lines else "not HTTP"))
        response = problems.response(problem)
        response.headers["Server"] = "edge"
        response.force_close()
        return response


class _Refusal(asyncio.Protocol):
    """A connection over the limit. It gets a 503 at once, and nothing from it is read."""

    def __init__(self, content: bytes, lingering: set[_Refusal]) -> None:
        self._content, self._lingering = content, lingering
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer at once, then leave the connection open for a while.

        If it were closed while the client still sends its request, a reset could destroy the answer.
        """
        transport = expect_type(transport, asyncio.Transport, "the transport of a connection")
        if len(self._lingering) >= _MAX_LINGERING:
            transport.abort()
            return
        self._transport = transport
        self._lingering.add(self)
        transport.write(self._content)
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS cannot be half closed; `close` waits until the answer is written
            transport.close()
        asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Remove this connection from the count of refused ones."""
        self._lingering.discard(self)


class Server:
    """Runs the HTTP server on the event loop: `open()` listens, `close()` lets running requests end."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str,
        port: int,
        max_connections: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self._port, self._limit, self._tls = host, port, max_connections, tls
        # With cancellation, a long poll ends when its client disconnects. The commit of a submit is shielded from it.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_STOP_S)
        self._server: asyncio.Server | None = None
        # Connections since they were accepted. The count of aiohttp begins one turn of the loop later.
        self._open: WeakSet[_Protocol] = WeakSet()
        self._lingering: set[_Refusal] = set()
        busy = Busy(f"{max_connections} connections are open, which is the limit (gateway.max_connections)")
        self._refusal = _plain_http(problems.response(problems.of(busy), busy))

    async def open(self) -> int:
        """Listen, and return the port. Raises StackError if the address cannot be used."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connection,
                # A socket that asyncio makes for :: takes only IPv6. `gateway.host: "::"` means IPv4 as well.
                ["0.0.0.0", "::"] if self._host == "::" else self._host,  # noqa: S104 - as the configuration says
                self._port,
                reuse_address=True,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None,
            )
        except OSError as err:
            await self._runner.cleanup()
            where = f"{self._host}:{self._port}"
            why = "the port is in use" if err.errno == 98 else (err.strerror or str(err))
            raise StackError(f"cannot listen on {where} (gateway.host, gateway.port): {why}") from err
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening, give running requests a few seconds, close all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def _connection(self) -> asyncio.Protocol:
        server = not_none(self._runner.server, "the server of the runner")
        if self.connections >= self._limit:
            return _Refusal(self._refusal, self._lingering)
        return _Protocol(server, self._open, loop=asyncio.get_running_loop())


def _plain_http(response: web.Response) -> bytes:
    """Return a whole answer as bytes, for a connection that aiohttp does not handle."""
    body = expect_type(response.body, bytes, "the body of a refusal")
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body
