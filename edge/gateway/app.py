"""Assembles the parts of the gateway into an aiohttp application, from the configuration of one board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from edge.catalog.catalogue import Catalogue
from edge.config import Config
from edge.gateway.api import routes
from edge.gateway.api.in_use import in_use
from edge.gateway.http import problems, tls
from edge.gateway.http.auth import Authenticator
from edge.gateway.http.server import Server
from edge.gateway.page import problems_as_page
from edge.gateway.page.routes import Page
from edge.gateway.service import Appliance

if TYPE_CHECKING:
    from edge.gateway.mqtt.bridge import Bridge


class Gateway:
    """Holds the appliance and its HTTP server. Make, start and stop it on the same event loop."""

    def __init__(self, config: Config, load: Callable[[], Catalogue], *, path: Path | None = None) -> None:
        """Open the ledger and set up all routes.

        Args:
            config: the configuration of the board.
            load: reads the catalogue of tasks; called in a thread.
            path: the file that `config` was read from, or None if there was no file.

        Raises:
            StorageError: the ledger cannot be opened or rebuilt, or the uploads of nodes cannot be cleared.
            StackError: another gateway or a restore uses the same state root.
            ConfigError: the TLS certificate or its key cannot be used.
        """
        limits = config.gateway
        certificate = tls.context(limits)
        self.appliance = Appliance(config, load)
        layout = config.layout
        authenticator = Authenticator(
            layout.tokens, paired=layout.paired, loopback_without_token=limits.loopback_without_token
        )
        page = Page(self.appliance, authenticator, path)
        middlewares = [problems_as_page.middleware(page), problems.middleware]
        if self.appliance.sleep is not None:
            middlewares.insert(0, in_use(self.appliance.sleep))
        app = web.Application(middlewares=middlewares)
        app.on_response_prepare.append(_finish_headers)
        for route in routes.table(self.appliance):
            route.bind(app.router, authenticator)
        page.bind(app.router)
        self._bridge = _bridge(self.appliance, authenticator)
        self.server = Server(
            app, host=limits.host, port=limits.port, max_connections=limits.max_connections, tls=certificate
        )

    async def start(self) -> int:
        """Listen, then start the appliance. Return the port. Raises StackError, StorageError."""
        port = await self.server.open()
        if self._bridge is not None:
            # Its task first runs when the threads of the ledger have started. It need not wait for the catalogue.
            self._bridge.start()
        await self.appliance.start()
        return port

    async def stop(self) -> None:
        """End the waits of clients, let running requests end, and write what is queued."""
        self.appliance.end_waits()
        if self._bridge is not None:
            await self._bridge.stop()
        await self.server.close()
        await self.appliance.stop()


def _bridge(appliance: Appliance, authenticator: Authenticator) -> Bridge | None:
    """Return the MQTT bridge, or None if it has nothing to do.

    It is needed while MQTT is configured, and while a broker keeps retained messages of an earlier configuration.
    """
    config = appliance.config
    if (config.mqtt.broker is None or not config.mqtt.enabled) and not config.layout.mqtt.exists():
        return None
    from edge.gateway.mqtt.bridge import Bridge  # loads paho, which a board without MQTT does not need

    return Bridge(appliance, authenticator)


async def _finish_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that all answers share.

    A proxy stores no answer unless the handler allows it. A browser does not guess the content type. The `Server`
    header does not name the versions of our libraries.
    """
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "edge"
