"""Puts the parts together: an aiohttp application for one board's configuration."""

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
    """The appliance and its HTTP door; `start` and `stop` on one event loop."""

    def __init__(self, config: Config, load: Callable[[], Catalogue], *, path: Path | None = None) -> None:
        """Open the ledger; `load` reads the catalogue of tasks, `path` is the file that `config` was read from.

        Raises StorageError, ConfigError.
        """
        limits = config.gateway
        certificate = tls.context(limits)
        self.appliance = Appliance(config, load)
        layout = config.layout
        door = Authenticator(layout.tokens, paired=layout.paired, loopback_without_token=limits.loopback_without_token)
        page = Page(self.appliance, door, path)
        middlewares = [problems_as_page.middleware(page), problems.middleware]
        if self.appliance.sleep is not None:
            middlewares.insert(0, in_use(self.appliance.sleep))
        app = web.Application(middlewares=middlewares)
        app.on_response_prepare.append(_finish_headers)
        for route in routes.table(self.appliance):
            route.bind(app.router, door)
        page.bind(app.router)
        self._bridge = _bridge(self.appliance, door)
        self.server = Server(
            app, host=limits.host, port=limits.port, max_connections=limits.max_connections, tls=certificate
        )

    async def start(self) -> int:
        """Listen, then start the appliance; returns the port. Raises StackError, StorageError."""
        port = await self.server.open()
        if self._bridge is not None:
            self._bridge.start()  # its task begins once the ledger's threads do; it need not wait for the catalogue
        await self.appliance.start()
        return port

    async def stop(self) -> None:
        """Answer those who wait, let running requests end, write what is queued."""
        self.appliance.end_waits()
        if self._bridge is not None:
            await self._bridge.stop()
        await self.server.close()
        await self.appliance.stop()


def _bridge(appliance: Appliance, door: Authenticator) -> Bridge | None:
    """The board's side of MQTT, where it is configured, or where a broker keeps something of an earlier one."""
    config = appliance.config
    if (config.mqtt.broker is None or not config.mqtt.enabled) and not config.layout.mqtt.exists():
        return None
    from edge.gateway.mqtt.bridge import Bridge  # with paho: a board without MQTT does not pay for it

    return Bridge(appliance, door)


async def _finish_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """No answer is kept by a proxy unless it says so, none is guessed at by a browser, none names our versions."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "edge"
