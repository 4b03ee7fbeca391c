"""The conditions under which the worker stops its watchdog pings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edge.core.wakeup import Wakeup
from edge.worker.process import control as controls
from edge.worker.process.control import Control
from edge.worker.process.watchdog import Watchdog


class WorkerContext:
    """The wakeup, control and watchdog of a worker whose `busy` the test sets."""

    def __init__(self) -> None:
        self.busy = False
        self.wakeup = Wakeup()
        self.control = Control(stop_grace_s=0, on_stop=lambda: None, on_stubborn=lambda _why: None)
        self.watchdog = Watchdog(wakeup=self.wakeup, control=self.control, busy=lambda: self.busy)


@pytest.fixture
def worker() -> Iterator[WorkerContext]:
    """Return a worker whose control handles signals. Their handlers are restored."""
    yield WorkerContext()
    Control.uninstall()


def test_idle_loop_that_answers(worker: WorkerContext) -> None:
    """A loop that answers the wakeup between two checks is healthy."""
    for _ in range(3):
        assert worker.watchdog.healthy()
        worker.wakeup.wait(0)
        worker.wakeup.clear()


def test_idle_loop_that_hangs(worker: WorkerContext) -> None:
    """A loop that does not answer the wakeup is unhealthy, at each further check too."""
    assert worker.watchdog.healthy()
    assert not worker.watchdog.healthy()
    assert not worker.watchdog.healthy()


def test_long_job_is_well(worker: WorkerContext) -> None:
    """A job without a limit may occupy the loop for any time. After the job the loop gets time to answer."""
    assert worker.watchdog.healthy()
    worker.busy = True
    assert worker.watchdog.healthy()
    assert worker.watchdog.healthy()
    worker.busy = False
    assert worker.watchdog.healthy()


def test_job_that_outlives_its_limit(worker: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that swallows its end, long after its limit, stops the pings."""
    monkeypatch.setattr(controls, "_GIVEN_UP_S", 0.05)
    worker.busy = True
    seen: list[bool] = []

    def body() -> None:
        with worker.control.shield():  # a C call that does not return would look the same
            seen.append(worker.watchdog.healthy())
            ended = threading.Event()
            deadline = time.monotonic() + 5
            while worker.watchdog.healthy() and time.monotonic() < deadline:
                ended.wait(0.01)
            seen.append(worker.watchdog.healthy())

    with pytest.raises(controls.JobTimedOut):
        worker.control.run("j", body, limit_s=0.05)
    assert seen == [True, False]
