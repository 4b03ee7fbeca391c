"""Orders of the gateway reach the worker, also when the kernel forgets some."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from asyncinotify import Inotify, Mask

from edge.config import Config
from edge.results.orders import Order, Orders
from edge.worker.flow.running import RunningJobs
from edge.worker.orders import OrderWatch


class Forgetful(Inotify):
    """Loses what came, and says so as the kernel does."""

    def sync_get(self) -> Any:
        """The event it got, as one of a queue that ran over."""
        event = super().sync_get()
        if event is not None:
            event._mask = Mask.Q_OVERFLOW
            event._name = None
        return event


def test_orders_that_the_kernel_forgot_are_carried_out(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of removals at once overflow the queue of events; the folder is looked at then."""
    monkeypatch.setattr("edge.worker.orders.Inotify", Forgetful)
    watch = OrderWatch(
        config.layout,
        results=cast("Any", None),
        attempts=cast("Any", None),
        running=RunningJobs(),
        interrupt=lambda _job_id: None,
        reconsider=lambda: None,
    )
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
