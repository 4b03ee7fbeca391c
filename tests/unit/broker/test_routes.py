"""The queue of a job, and the workers that take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.broker.routes import Routes, known_queues
from edge.config import Config, WorkerEntry
from edge.config.records import WorkerConfig
from edge.model import KnownQueues, Pool, Power, WorkerPool

POOLS = {"solve": Pool.MAIN, "fetch": Pool.IO}
SUN = WorkerEntry("sun", classes=(Power.SURPLUS,), kinds=("primes",))
THREADS = WorkerEntry("net", WorkerPool.THREADS)


def config(*workers: WorkerEntry, freeze: bool = False) -> Config:
    return Config(workers=workers, worker=WorkerConfig(name="main", running_job="freeze" if freeze else "hold"))


@pytest.mark.parametrize(
    ("kind", "queue"),
    [
        ("solve", "edge.normal"),
        ("fetch", "edge.io.normal"),
        ("primes", "edge.only.sun.normal"),
        ("unknown", "edge.normal"),
    ],
)
def test_a_kind_goes_to_its_pool_or_to_the_worker_that_alone_takes_it(kind: str, queue: str) -> None:
    """A job of an unknown kind goes to a main worker, which fails it."""
    assert Routes.of(config(WorkerEntry("main"), SUN, THREADS), POOLS).queue(kind, Power.NORMAL) == queue


def test_an_idle_board_needs_no_queues_of_pools() -> None:
    """If no kind has the pool io and no worker has `kinds`, the board has only the four queues of every board."""
    assert Routes.of(config(), {"solve": Pool.MAIN}).queues == ()


def test_io_kinds_and_owners_need_queues() -> None:
    """There is one queue for each power class, for the pool io and for each owner."""
    wanted = Routes.of(config(WorkerEntry("main"), SUN, THREADS), POOLS).queues
    assert wanted == tuple(sorted(f"edge.{each}.{power}" for each in ("io", "only.sun") for power in Power))


def test_a_board_that_freezes_runs_kinds_of_the_pool_io_in_its_main_worker() -> None:
    """A frozen process would freeze every body in it, so there is no worker of threads."""
    routes = Routes.of(config(freeze=True), POOLS)
    assert (routes.queue("fetch", Power.NORMAL), routes.queues, list(routes.workers)) == ("edge.normal", (), ["main"])


def test_a_list_of_workers_is_complete() -> None:
    """Only the listed workers count. Without a list, there is a main worker, and a worker of threads may be started."""
    assert list(Routes.of(config(), POOLS).workers) == ["main", "io"]
    assert list(Routes.of(config(WorkerEntry("a")), POOLS).workers) == ["a"]


@pytest.mark.parametrize(
    ("workers", "kind", "power", "sentence"),
    [
        ((), "fetch", Power.NORMAL, ""),
        ((WorkerEntry("main"),), "fetch", Power.NORMAL, "no worker of pool threads is configured, which fetch needs"),
        ((WorkerEntry("main"), SUN), "primes", Power.SURPLUS, ""),
        (
            (WorkerEntry("main"), SUN),
            "primes",
            Power.NORMAL,
            "no worker takes primes at power class normal: worker sun does not list it in `classes`",
        ),
        (
            (WorkerEntry("main", classes=(Power.ALWAYS,)),),
            "solve",
            Power.SURPLUS,
            "no worker of pool main takes power class surplus",
        ),
    ],
)
def test_a_job_that_no_configured_worker_takes_is_named(
    workers: tuple[WorkerEntry, ...], kind: str, power: Power, sentence: str
) -> None:
    """If a configured worker takes the job, the sentence is empty."""
    assert Routes.of(config(*workers), POOLS).missing_worker_reason(kind, power) == sentence


def test_a_worker_that_is_not_listed_takes_what_main_workers_take() -> None:
    """The workers of a container are an example, because they are named after the container."""
    routes = Routes.of(config(WorkerEntry("main"), THREADS), POOLS)
    assert routes.takes("c0ffee-1", "edge.normal")
    assert not routes.takes("c0ffee-1", "edge.io.normal")
    assert routes.takes("net", "edge.io.normal")
    assert not routes.takes("net", "edge.normal")


def test_kinds_that_share_a_queue_are_listed() -> None:
    """For most queues the kinds are listed. For the queues of the pool main, the kinds that do not share them are."""
    routes = Routes.of(config(WorkerEntry("main"), SUN, THREADS), POOLS)
    assert routes.kinds_sharing("fetch") == (frozenset({"fetch"}), True)
    assert routes.kinds_sharing("primes") == (frozenset({"primes"}), True)
    assert routes.kinds_sharing("solve") == (frozenset({"fetch", "primes"}), False)


def test_queues_that_were_needed_once_are_remembered(tmp_path: Path) -> None:
    """The check of the broker needs them. A file that cannot be read counts as empty."""
    board = Config(root=tmp_path, run=tmp_path, workers=(SUN,))
    KnownQueues(io=("fetch",), queues=("edge.io.normal",)).keep(board.layout.queues)
    assert set(known_queues(board)) == {"edge.io.normal", *(f"edge.only.sun.{power}" for power in Power)}
    board.layout.queues.write_bytes(b"{")
    assert set(known_queues(board)) == {f"edge.only.sun.{power}" for power in Power}
