"""Orders of the gateway reach the worker, also when the kernel forgets some."""

from __future__ import annotations

import shutil
import threading
from typing import Any, cast

import pytest

from edge.config import Config
from edge.core.watch import Changes, Watch
from edge.results.orders import Order, Orders
from edge.worker.flow.running import RunningJobs
from edge.worker.orders import OrderWatch


class Forgetful(Watch):
    """Loses what came, and says so as the kernel does."""

    def read(self) -> Changes:
        """What happened, as of a queue that ran over."""
        super().read()
        return Changes(overflow=True)


def order_watch(config: Config) -> OrderWatch:
    """A watch whose orders are never carried out by itself: the tests see to that."""
    return OrderWatch(
        config.layout,
        results=cast("Any", None),
        attempts=cast("Any", None),
        running=RunningJobs(),
        interrupt=lambda _job_id: None,
        reconsider=lambda: None,
    )


def test_orders_that_the_kernel_forgot_are_carried_out(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of removals at once overflow the queue of events; the folder is looked at then."""
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
    orders.give(Order.DELETE, "a")
    watch.start()
    try:
        assert first.wait(10)
        for name in "bc":
            orders.give(Order.DELETE, name)
        assert done.wait(10)
    finally:
        watch.stop()
    assert carried == {(Order.DELETE, name) for name in "abc"}


def test_orders_are_seen_in_a_folder_that_went_away_and_came_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody emptied the run folder."""
    watch = order_watch(config)
    carried = threading.Event()
    monkeypatch.setattr(watch, "_carry_out", lambda *_: carried.set())
    orders = Orders(config.layout)
    orders.give(Order.DELETE, "first")
    watch.start()
    try:
        assert carried.wait(10)  # it looks
        carried.clear()
        shutil.rmtree(orders.folder)
        orders.give(Order.DELETE, "a")
        assert carried.wait(10)
    finally:
        watch.stop()
