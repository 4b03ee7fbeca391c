"""Which queue a job goes to, by its kind and class, and which worker takes it from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from edge.broker.topology import queue_name, queues_of
from edge.config import Config
from edge.model import KnownQueues, Pool, Power


class Routes(msgspec.Struct, frozen=True):
    """Where the jobs of each kind go. Without anything here, all go to the queues of the pool main."""

    io: frozenset[str] = frozenset()  # kinds of the pool io
    owners: dict[str, str] = {}  # kind -> the worker that alone takes it
    workers: dict[str, frozenset[str]] = {}  # the workers of the configuration -> the queues that each consumes

    @classmethod
    def of(cls, config: Config, pools: Mapping[str, Pool]) -> Self:
        """The routes of a board whose kinds have these pools; all are main ones where nothing may run in threads."""
        io = frozenset(kind for kind, pool in pools.items() if pool is Pool.IO and config.threads)
        owners = {kind: worker.name for worker in config.workers for kind in worker.kinds}
        workers = {worker.name: frozenset(queues_of(worker)) for worker in config.planned(io=True)}
        return cls(io, owners, workers)

    def queue(self, task: str, power: Power) -> str:
        """Name of the queue for a job; of a kind nobody knows too, which a worker ends."""
        if owner := self.owners.get(task):
            return queue_name(power, owner=owner)
        return queue_name(power, pool=Pool.IO if task in self.io else Pool.MAIN)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues that are wanted beside those of every board."""
        names = [queue_name(power, owner=owner) for owner in dict.fromkeys(self.owners.values()) for power in Power]
        if self.io - self.owners.keys():
            names += [queue_name(power, pool=Pool.IO) for power in Power]
        return tuple(sorted(names))

    def takes(self, worker: str, queue: str) -> bool:
        """True when the worker consumes the queue; one that the configuration does not list is a main worker."""
        mine = self.workers.get(worker)
        return queue in mine if mine is not None else queue in _MAIN

    def wanting(self, task: str, power: Power) -> str:
        """Which worker would have to be there for such a job, as a sentence; empty when one is configured."""
        queue = self.queue(task, power)
        if any(queue in queues for queues in self.workers.values()):
            return ""
        if owner := self.owners.get(task):
            return f"no worker takes {task} at power class {power}: `classes` of worker {owner} does not have it"
        if task in self.io and not any(
            queue_name(each, pool=Pool.IO) in every for each in Power for every in self._sets
        ):
            return f"no worker of pool threads is configured, which {task} needs"
        pool = "threads" if task in self.io else "main"
        return f"no worker of pool {pool} takes power class {power}"

    def absent(self, task: str, power: Power) -> str:
        """Which worker is configured for such a job, for when none of them runs, as a sentence."""
        queue = self.queue(task, power)
        names = sorted(name for name, queues in self.workers.items() if queue in queues)
        return f"worker {' or '.join(names)}, which takes {task}, is not running"

    @property
    def _sets(self) -> tuple[frozenset[str], ...]:
        return tuple(self.workers.values())

    def beside(self, task: str) -> tuple[frozenset[str], bool]:
        """Kinds that share the queues of `task`, and True; or the kinds that do not, and False, where these are few."""
        if owner := self.owners.get(task):
            return frozenset(kind for kind, name in self.owners.items() if name == owner), True
        if task in self.io:
            return frozenset(self.io - self.owners.keys()), True
        return frozenset(self.io | self.owners.keys()), False


_MAIN = frozenset(queue_name(power) for power in Power)


def known_queues(config: Config) -> tuple[str, ...]:
    """Queues that may be on this board's broker beside the usual ones: remembered, or named by the configuration."""
    return tuple(sorted({*KnownQueues.read(config.layout.queues).queues, *Routes.of(config, {}).queues}))
