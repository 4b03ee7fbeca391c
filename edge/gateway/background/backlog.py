"""Tells governor and nodes that ask how many open jobs of each kind there are: to scale workers, and to look ahead.

Nothing polls: a commit of the ledger that changes the counts leads to a new file, at most once a second. While the
board is idle nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from edge.broker.routes import Routes
from edge.core import durable
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.gateway.costs import KindCosts
from edge.ledger.open_kinds import OpenKind
from edge.model import Backlog, OpenJobs, Pool, Power, Result

log = logging.getLogger(__name__)

#: Shortest time between two files. Each wakes the governor.
EVERY_S = 1.0
#: Groups of kind and power class that are told, the largest first.
_MOST_ROWS = 200


class KindBacklog:
    """Writes `run/backlog/backlog.json` where this board scales workers. Belongs to the loop, except `committed`."""

    def __init__(
        self, layout: Layout, *, counts: Callable[[], tuple[OpenKind, ...]], routes: Callable[[], Routes], told: bool
    ) -> None:
        """Write the file only when `told`.

        Args:
            layout: where the file is.
            counts: returns the open jobs by kind as of the last commit, where they are counted along.
            routes: returns the pool and the owner of each kind.
            told: this board scales its workers.
        """
        self._layout, self._counts, self._routes, self._tells = layout, counts, routes, told
        self._path = layout.backlog
        #: What the kinds of job cost; learned where workers are scaled, here or on a node that asks.
        self._costs: KindCosts | None = None
        self._told: tuple[OpenKind, ...] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_at = 0.0
        self._comes = False  # a write is on its way
        self._failed = False

    def start(self) -> None:
        """Write what there is; from now on each change is written. Raises nothing."""
        if self._tells:
            self._loop = asyncio.get_running_loop()
            self._write()

    def stop(self) -> None:
        """Save what was learned; a second call does nothing."""
        self._loop = None
        if self._costs is not None:
            self._costs.save()

    def committed(self) -> None:
        """Look whether a commit changed the counts. Called in the thread of the ledger."""
        loop = self._loop
        if loop is None or loop.is_closed() or self._comes or self._counts() == self._told:
            return
        self._comes = True
        loop.call_soon_threadsafe(self._schedule)

    def learn(self, results: Iterable[Result]) -> None:
        """Note what these jobs took, where somebody has asked for it."""
        if self._costs is not None:
            self._costs.learn(results)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._next_at), self._write)

    def _write(self) -> None:
        self._comes = False  # first: a commit from here on leads to another file
        if self._loop is None:
            return
        self._next_at = self._loop.time() + EVERY_S
        counts = self._counts()
        backlog = Backlog(boot_id(), os.getpid(), time.monotonic(), tuple(self.rows(counts)))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace_volatile(self._path, msgspec.json.encode(backlog))
            self._failed = False
        except OSError as err:
            if not self._failed:  # it is tried again at the next change; the workers that there are do the jobs
                log.error("%s cannot be written: %s; workers are not scaled", self._path, err.strerror or err)
            self._failed = True
        self._told = counts
        if self._counts() != counts:
            self.committed()

    def rows(self, counts: Iterable[OpenKind]) -> Iterator[OpenJobs]:
        """What is told of these counts. From the first call on, costs are learned."""
        if self._costs is None:
            self._costs = KindCosts(self._layout.costs)
        routes = self._routes()
        for count in [count for count in counts if count.power in _POWERS][:_MOST_ROWS]:
            power, cost = Power(count.power), self._costs.of(count.task)
            yield OpenJobs(
                count.task,
                power,
                count.jobs,
                pool=Pool.IO if count.task in routes.io else Pool.MAIN,
                owner=routes.owners.get(count.task, ""),
                seconds=None if cost is None else round(cost.seconds, 6),
                peak_bytes=None if cost is None else cost.peak_bytes,
                busy=None if cost is None else round(cost.busy, 3),
            )


_POWERS = frozenset(Power)
