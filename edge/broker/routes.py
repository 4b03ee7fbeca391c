"""Chooses the queue of a job by its kind and power class, and tells which worker consumes that queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from edge.broker.topology import queue_name, queues_of
from edge.config import Config
from edge.model import KnownQueues, Pool, Power


class Routes(msgspec.Struct, frozen=True):
    """Maps each kind of job to its queue. With the defaults, all kinds go to the queues of the pool main."""

    io: frozenset[str] = frozenset()  # kinds of the pool io
    owners: dict[str, str] = {}  # kind -> name of the only worker that takes it
    workers: dict[str, frozenset[str]] = {}  # name of each configured worker -> the queues that it consumes

    @classmethod
    def of(cls, config: Config, pools: Mapping[str, Pool]) -> Self:
        """Return the routes for kinds with these pools. If the board allows no threads, all kinds count as main.

        Args:
            config: the configuration of the board, with its list of workers.
            pools: the pool of each kind.
        """
        io = frozenset(kind for kind, pool in pools.items() if pool is Pool.IO and config.threads)
        owners = {kind: worker.name for worker in config.workers for kind in worker.kinds}
        workers = {worker.name: frozenset(queues_of(worker)) for worker in config.planned(io=True)}
        return cls(io, owners, workers)

    def queue(self, task: str, power: Power) -> str:
        """Return the name of the queue for a job. A job of an unknown kind goes to a main worker, which fails it."""
        if owner := self.owners.get(task):
            return queue_name(power, owner=owner)
        return queue_name(power, pool=Pool.IO if task in self.io else Pool.MAIN)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues that this board uses in addition to `QUEUES`, which every board has."""
        names = [queue_name(power, owner=owner) for owner in dict.fromkeys(self.owners.values()) for power in Power]
        if self.io - self.owners.keys():
            names += [queue_name(power, pool=Pool.IO) for power in Power]
        return tuple(sorted(names))

    def takes(self, worker: str, queue: str) -> bool:
        """Return True if the worker consumes the queue. A worker that is not configured counts as a main worker."""
        consumed = self.workers.get(worker)
        return queue in consumed if consumed is not None else queue in _MAIN

    def missing_worker_reason(self, task: str, power: Power) -> str:
        """Return a sentence on which worker is missing for such a job, or "" if one is configured."""
        queue = self.queue(task, power)
        if any(queue in queues for queues in self.workers.values()):
            return ""
        if owner := self.owners.get(task):
            return f"no worker takes {task} at power class {power}: worker {owner} does not list it in `classes`"
        if task in self.io and not any(
            queue_name(each, pool=Pool.IO) in every for each in Power for every in self._sets
        ):
            return f"no worker of pool threads is configured, which {task} needs"
        pool = "threads" if task in self.io else "main"
        return f"no worker of pool {pool} takes power class {power}"

    def stopped_worker_reason(self, task: str, power: Power) -> str:
        """Return a sentence that names the workers for such a job, to be used if none of them runs."""
        queue = self.queue(task, power)
        names = sorted(name for name, queues in self.workers.items() if queue in queues)
        return f"worker {' or '.join(names)}, which takes {task}, is not running"

    @property
    def _sets(self) -> tuple[frozenset[str], ...]:
        return tuple(self.workers.values())

    def kinds_sharing(self, task: str) -> tuple[frozenset[str], bool]:
        """Return the kinds that share the queues of `task`, and True.

        For a kind of the pool main, return the kinds that do not share its queues, and False, because unknown kinds
        share these queues too.
        """
        if owner := self.owners.get(task):
            return frozenset(kind for kind, name in self.owners.items() if name == owner), True
        if task in self.io:
            return frozenset(self.io - self.owners.keys()), True
        return frozenset(self.io | self.owners.keys()), False


_MAIN = frozenset(queue_name(power) for power in Power)


def known_queues(config: Config) -> tuple[str, ...]:
    """Return the queues that the broker may have in addition to `QUEUES`, which every board has.

    These are the queues in `queues.json` and those that the configuration needs. Never raises.
    """
    return tuple(sorted({*KnownQueues.read(config.layout.queues).queues, *Routes.of(config, {}).queues}))
