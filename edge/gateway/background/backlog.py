"""Reports the number of open jobs by kind, for the scaling of workers and for the look-ahead of the governor.

Nothing polls. A commit of the ledger that changes the counts leads to a new file, at most once a second. While the
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

#: Shortest time between two writes. Each write wakes the governor.
EVERY_S = 1.0
#: Largest number of groups of kind and power class in a report. The largest groups come first.
_MOST_ROWS = 200


class KindBacklog:
    """Writes `run/backlog/backlog.json` if this board scales workers or looks ahead.

    Belongs to the event loop; `committed` is called in the thread of the ledger.
    """

    def __init__(
        self, layout: Layout, *, counts: Callable[[], tuple[OpenKind, ...]], routes: Callable[[], Routes], enabled: bool
    ) -> None:
        """Write nothing before `start`.

        Args:
            layout: where the file is.
            counts: returns the open jobs by kind as of the last commit, or nothing if the ledger does not count them.
            routes: returns the pool of each kind, and the one worker that takes it.
            enabled: the file is written, because this board scales its workers or looks ahead.
        """
        self._layout, self._counts, self._routes, self._enabled = layout, counts, routes, enabled
        self._path = layout.backlog
        #: The cost of a job of each kind; learned from the first call of `rows` on.
        self._costs: KindCosts | None = None
        self._written: tuple[OpenKind, ...] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_at = 0.0
        self._pending = False  # a write is scheduled
        self._failed = False

    def start(self) -> None:
        """Write the present counts, and from now on each change. An error of the disk is logged."""
        if self._enabled:
            self._loop = asyncio.get_running_loop()
            self._write()

    def stop(self) -> None:
        """Write no more, and save the learned costs; a second call does nothing."""
        self._loop = None
        if self._costs is not None:
            self._costs.save()

    def committed(self) -> None:
        """Schedule a write if a commit changed the counts. Called in the thread of the ledger."""
        loop = self._loop
        if loop is None or loop.is_closed() or self._pending or self._counts() == self._written:
            return
        self._pending = True
        loop.call_soon_threadsafe(self._schedule)

    def learn(self, results: Iterable[Result]) -> None:
        """Learn the costs of these jobs, if somebody has asked for costs before."""
        if self._costs is not None:
            self._costs.learn(results)

    def seconds(self, task: str) -> float | None:
        """Return the mean run time of jobs of this kind, open or not, or None until one has run. Costs are learned."""
        cost = self._known().of(task)
        return None if cost is None else cost.seconds

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._next_at), self._write)

    def _write(self) -> None:
        self._pending = False  # before the counts are read: a commit from here on leads to another write
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
            if not self._failed:  # the next change tries again; until then the present workers do the jobs
                log.error("%s cannot be written: %s; workers are not scaled", self._path, err.strerror or err)
            self._failed = True
        self._written = counts
        if self._counts() != counts:
            self.committed()

    def rows(self, counts: Iterable[OpenKind]) -> Iterator[OpenJobs]:
        """Yield the rows of the report for these counts. From the first call on, costs are learned."""
        costs, routes = self._known(), self._routes()
        for count in [count for count in counts if count.power in _POWERS][:_MOST_ROWS]:
            power, cost = Power(count.power), costs.of(count.task)
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

    def _known(self) -> KindCosts:
        if self._costs is None:
            self._costs = KindCosts(self._layout.costs)
        return self._costs


_POWERS = frozenset(Power)
