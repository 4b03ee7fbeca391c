"""When the worker's watchdog falls silent."""

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
    """Wakeup, control and watchdog of a worker that is busy or not as the test says."""

    def __init__(self) -> None:
        self.busy = False
        self.wakeup = Wakeup()
        self.control = Control(stop_grace_s=0, on_stop=lambda: None, on_stubborn=lambda _why: None)
        self.watchdog = Watchdog(wakeup=self.wakeup, control=self.control, busy=lambda: self.busy)


@pytest.fixture
def desk() -> Iterator[WorkerContext]:
    """A desk whose control takes signals; they are given back."""
    yield WorkerContext()
    Control.uninstall()


def test_idle_loop_that_answers(desk: WorkerContext) -> None:
    """A loop that hears the wakeup between two looks is well."""
    for _ in range(3):
        assert desk.watchdog.well()
        desk.wakeup.wait(0)
        desk.wakeup.hush()


def test_idle_loop_that_hangs(desk: WorkerContext) -> None:
    """A loop that did not hear the wakeup is not well, however often one asks."""
    assert desk.watchdog.well()
    assert not desk.watchdog.well()
    assert not desk.watchdog.well()


def test_long_job_is_well(desk: WorkerContext) -> None:
    """A job without a limit keeps the loop away for as long as it likes; after it the loop has its time to answer."""
    assert desk.watchdog.well()
    desk.busy = True
    assert desk.watchdog.well()
    assert desk.watchdog.well()
    desk.busy = False
    assert desk.watchdog.well()


def test_job_that_outlives_its_limit(desk: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that swallows its end, long after its limit, silences the watchdog."""
    monkeypatch.setattr(controls, "_GIVEN_UP_S", 0.05)
    desk.busy = True
    seen: list[bool] = []

    def body() -> None:
        with desk.control.shield():  # a C call that does not return would look the same
            seen.append(desk.watchdog.well())
            ended = threading.Event()
            deadline = time.monotonic() + 5
            while desk.watchdog.well() and time.monotonic() < deadline:
                ended.wait(0.01)
            seen.append(desk.watchdog.well())

    with pytest.raises(controls.JobTimedOut):
        desk.control.run("j", body, limit_s=0.05)
    assert seen == [True, False]
