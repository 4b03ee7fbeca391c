"""Where the gateway sends the jobs of each kind, and what it moves when that changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge.broker import abandoned
from edge.broker.routes import Routes
from edge.catalog.catalogue import Catalogue
from edge.config import Config
from edge.core.backoff import Backoff
from edge.core.errors import BrokerError
from edge.model import KnownQueues, Pool

log = logging.getLogger(__name__)

_RETRY = Backoff(first_s=5.0, most_s=600.0)


class Routing:
    """The present routes: at first those of the previous gateway, then those of each catalogue that is read."""

    def __init__(self, config: Config, *, route: Callable[[Routes], None]) -> None:
        """`route` is called with new routes, in the thread that calls `learn`."""
        self._config, self._route = config, route
        self._known = KnownQueues.read(config.layout.queues)
        self.routes = Routes.of(config, dict.fromkeys(self._known.io, Pool.IO))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._learnt = asyncio.Event()
        self._learnt.set()  # a worker may have left the configuration while no gateway ran

    def learn(self, catalogue: Catalogue) -> None:
        """Route by this catalogue. Runs in a thread.

        While a module cannot be imported, the kinds that it had before keep their queues.
        """
        pools = {kind: info.pool for kind, info in catalogue.tasks.items()}
        if catalogue.errors:
            pools = dict.fromkeys(self._known.io, Pool.IO) | pools
        routes = Routes.of(self._config, pools)
        known = KnownQueues(tuple(sorted(routes.io)), tuple(sorted({*self._known.queues, *routes.queues})))
        if known != self._known:
            try:
                known.keep(self._config.layout.queues)  # first, so that every declared queue can be found again
            except OSError as err:
                log.error("which queues there are cannot be remembered: %s", err)
        self._known, self.routes = known, routes
        self._route(routes)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._learnt.set)

    async def run(self) -> None:
        """After each change, move what lies in queues that nobody wants any more."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._learnt.wait()
            self._learnt.clear()
            await self._move()

    async def _move(self) -> None:
        for pause_s in _RETRY.pauses():
            routes = self.routes
            if not (queues := [queue for queue in self._known.queues if queue not in routes.queues]):
                return
            try:
                count = await asyncio.to_thread(abandoned.move, self._config.broker, queues, routes)
            except BrokerError as err:
                log.info("messages in %s wait to be moved: %s", ", ".join(queues), err)
            else:
                if count:
                    log.warning("%d messages were in queues that no worker takes any more: moved", count)
                return
            await asyncio.sleep(pause_s)
