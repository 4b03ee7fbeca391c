"""Orders of the gateway reach the worker, even if the kernel loses some events."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from edge.config import Config
from edge.core.watch import Changes, Watch
from edge.model import new_job_id
from edge.results.orders import Order, Orders
from edge.results.store import Results
from edge.worker.flow.running import RunningJobs
from edge.worker.orders import OrderWatch
from tests.running_worker import until


class Forgetful(Watch):
    """Loses events and reports it as the kernel does."""

    def read(self) -> Changes:
        """Return the changes of a queue of events that overflowed."""
        super().read()
        return Changes(overflow=True)


def order_watch(config: Config) -> OrderWatch:
    """Return a watch that cannot carry out orders. The tests replace `_carry_out`."""
    return OrderWatch(
        config.layout,
        results=cast("Any", None),
        attempts=cast("Any", None),
        running=RunningJobs(),
        interrupt=lambda _job_id: None,
        reconsider=lambda: None,
    )


def test_orders_that_the_kernel_forgot_are_carried_out(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of removals at once overflow the queue of events. Then the folder is read."""
    monkeypatch.setattr("edge.worker.orders.Watch", Forgetful)
    watch = order_watch(config)
    carried: set[tuple[Order, str]] = set()
    first, done = threading.Event(), threading.Event()

    def carry_out(order: Order, job_id: str) -> None:
        carried.add((order, job_id))
        first.set()
        if len(carried) == 3:
            done.set()

    monkeypatch.setattr(watch, "_carry_out", carry_out)
    orders = Orders(config.layout)
    orders.place(Order.DELETE, "a")
    watch.start()
    try:
        assert first.wait(10)
        for name in "bc":
            orders.place(Order.DELETE, name)
        assert done.wait(10)
    finally:
        watch.stop()
    assert carried == {(Order.DELETE, name) for name in "abc"}


def test_a_new_order_comes_once(config: Config) -> None:
    """At a second report the interrupted body has ended, and the job would count as cancelled before it ran."""
    running, interrupted, results = RunningJobs(), threading.Event(), Results(config.layout)

    def interrupt(job_id: str) -> None:
        running.discard(job_id)
        interrupted.set()

    class Running(RunningJobs):
        """Running jobs whose `locked` takes no lock, because the interruption is called inside."""

        @contextmanager
        def locked(self, job_id: str) -> Iterator[bool]:
            yield job_id in running._ids

    watch = OrderWatch(
        config.layout,
        results=results,
        attempts=cast("Any", None),
        running=Running(),
        interrupt=interrupt,
        reconsider=lambda: None,
    )
    first, before, runs, after = (new_job_id() for _ in range(4))
    running.add(runs)
    orders = Orders(config.layout)
    watch.start()
    try:
        orders.place(Order.CANCEL, first)
        until(lambda: results.has(first), "the thread does not wait for events yet")
        with (orders.folder / f"{runs}.{Order.CANCEL}").open("w"):  # it is made, and given a moment later
            orders.place(Order.CANCEL, before)
            until(lambda: results.has(before), "the first order is not carried out")
        orders.place(Order.CANCEL, after)
        assert interrupted.wait(10)
        until(lambda: results.has(after), "the last order is not carried out")
    finally:
        watch.stop()
    assert not results.has(runs)


def test_orders_are_seen_in_a_folder_that_went_away_and_came_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody emptied the run folder."""
    watch = order_watch(config)
    carried = threading.Event()
    monkeypatch.setattr(watch, "_carry_out", lambda *_: carried.set())
    orders = Orders(config.layout)
    orders.place(Order.DELETE, "first")
    watch.start()
    try:
        assert carried.wait(10)  # it looks
        carried.clear()
        shutil.rmtree(orders.folder)
        orders.place(Order.DELETE, "a")
        assert carried.wait(10)
    finally:
        watch.stop()
