"""Keeps the routes, which give the queue of each kind, and moves messages out of queues that are no longer used."""

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
    """Holds the present routes: first the routes of the previous gateway, then those of the latest catalogue.

    `run` belongs to the event loop; `learn` is called in a thread.
    """

    def __init__(self, config: Config, *, route: Callable[[Routes], None]) -> None:
        """Read the routes of the previous gateway. `route` is called with new routes, in the thread of `learn`."""
        self._config, self._route = config, route
        self._known = KnownQueues.read(config.layout.queues)
        self.routes = Routes.of(config, dict.fromkeys(self._known.io, Pool.IO))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._learnt = asyncio.Event()
        self._learnt.set()  # a worker may have been removed from the configuration while no gateway ran

    def learn(self, catalogue: Catalogue) -> None:
        """Make the routes for the kinds of this catalogue. Called in a thread.

        While some module of tasks cannot be imported, known kinds that are missing keep their queues.
        """
        pools = {kind: info.pool for kind, info in catalogue.tasks.items()}
        if catalogue.errors:
            pools = dict.fromkeys(self._known.io, Pool.IO) | pools
        routes = Routes.of(self._config, pools)
        known = KnownQueues(tuple(sorted(routes.io)), tuple(sorted({*self._known.queues, *routes.queues})))
        if known != self._known:
            try:
                known.keep(self._config.layout.queues)  # before queues are declared, because AMQP cannot list them
            except OSError as err:
                log.error("the list of queues cannot be saved: %s", err)
        self._known, self.routes = known, routes
        self._route(routes)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._learnt.set)

    async def run(self) -> None:
        """After each change of the routes, move the messages out of queues that are no longer used."""
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
                log.info("messages in %s cannot be moved yet: %s", ", ".join(queues), err)
            else:
                if count:
                    log.warning("moved %d messages out of queues that no worker consumes any more", count)
                return
            await asyncio.sleep(pause_s)
