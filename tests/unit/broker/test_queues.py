"""Names and arguments of the queues for each power class, pool and worker."""

from __future__ import annotations

from itertools import product

import pytest

from edge.broker import topology
from edge.config import WorkerEntry
from edge.model import Pool, Power, WorkerPool


def test_the_queues_of_the_pool_main_are_named_by_class_alone() -> None:
    """These names never change, because existing boards have these queues."""
    assert [topology.queue_name(power) for power in Power] == ["edge.always", "edge.normal", "edge.surplus"]
    assert [queue.name for queue in topology.QUEUES.values()] == ["edge.always", "edge.normal", "edge.surplus"]


@pytest.mark.parametrize(("power", "pool", "owner"), list(product(Power, Pool, ["", "io", "sun-1", "always"])))
def test_the_name_of_a_queue_has_its_class(power: Power, pool: Pool, owner: str) -> None:
    """This holds for every pool and for any name of a worker."""
    assert topology.class_of(topology.queue_name(power, pool=pool, owner=owner)) is power


def test_no_two_routes_share_a_queue() -> None:
    """A worker that has the name of a pool or of a class still has separate queues."""
    names = [topology.queue_name(power, pool=pool) for power in Power for pool in Pool]
    names += [topology.queue_name(power, owner=owner) for power in Power for owner in ("io", "main", "normal", "dead")]
    assert len(set(names)) == len(names)


def test_the_dead_letter_queue_counts_as_normal() -> None:
    """It holds jobs of all classes, and `normal` is the default."""
    assert topology.class_of(topology.DEAD_NAME) is Power.NORMAL


@pytest.mark.parametrize(
    ("worker", "queues"),
    [
        (WorkerEntry("edge"), ("edge.always", "edge.normal", "edge.surplus")),
        (WorkerEntry("edge", classes=(Power.ALWAYS,)), ("edge.always",)),
        (WorkerEntry("io", WorkerPool.THREADS, classes=(Power.NORMAL,)), ("edge.io.normal",)),
        (WorkerEntry("sun", classes=(Power.SURPLUS,), kinds=("solve",)), ("edge.only.sun.surplus",)),
        (WorkerEntry("net", WorkerPool.THREADS, classes=(Power.NORMAL,), kinds=("get",)), ("edge.only.net.normal",)),
    ],
)
def test_a_worker_has_the_queues_of_its_pool_classes_and_kinds(worker: WorkerEntry, queues: tuple[str, ...]) -> None:
    """A worker with `kinds` consumes only the queues of these kinds."""
    assert topology.queues_of(worker) == queues


def test_every_queue_has_the_same_arguments() -> None:
    """RabbitMQ refuses to declare a queue again with other arguments."""
    lazy = topology.queue("edge.io.normal")
    assert lazy.queue_arguments == topology.QUEUES[Power.NORMAL].queue_arguments
    assert "x-dead-letter-exchange" not in topology.queue(topology.DEAD_NAME).queue_arguments
