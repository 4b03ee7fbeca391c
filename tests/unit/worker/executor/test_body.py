"""A body in a thread: how an interruption reaches it, where it does, and what happens if none does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.model import Power, PowerState, PowerStatus, RunningJob
from edge.worker.attempt.outcome import Outcome
from edge.worker.executor import body as module
from edge.worker.executor.body import Body
from edge.worker.process.control import JobCancelled, JobControl, JobInterrupted, JobTimedOut

GOOD = PowerStatus(PowerState.NORMAL, "", "the test says so")
LOW = PowerStatus(PowerState.LOW, "", "the test says so", until="the sun shines")
CRITICAL = PowerStatus(PowerState.CRITICAL, "", "the test says so")
_PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the steps of an interruption follow each other at once."""
    monkeypatch.setattr(module, "ASK_S", 0.0)
    monkeypatch.setattr(module, "AGAIN_S", 0.02)


def _body(**changes: Any) -> Body:
    settings: dict[str, Any] = {"limit_s": None, "max_temp_c": None, "holds": True}
    settings |= {"on_change": lambda: None, "on_resume": lambda: None} | changes
    return Body(RunningJob("a", "wait", time.time()), Power.NORMAL, GOOD, **settings)


class Thread:
    """Runs `call` as the body, and keeps how it ended."""

    def __init__(self, body: Body, call: Callable[[], object]) -> None:
        self.body = body
        self.value: object = None
        self.error: BaseException | None = None
        self.inside = threading.Event()
        self._call = call
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.inside.wait(_PATIENCE_S)

    def _run(self) -> None:
        try:
            self.value = self.body.run("a", self._begin, limit_s=None)
        except BaseException as err:
            self.error = err
        self.body.finish(Outcome(value=self.value, error=self.error))

    def _begin(self) -> object:
        self.inside.set()
        return self._call()

    def pressed(self) -> Thread:
        """Interrupt the body until its thread has ended."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.thread.is_alive() and time.monotonic() < deadline:
            self.body.interrupt_if_due(time.monotonic())
            time.sleep(0.005)
        assert not self.thread.is_alive()
        return self


def _spin() -> None:
    while True:
        pass


def _went_on(body: Body) -> str:
    body.check()
    return "went on"


def _ask(body: Body) -> None:
    while True:
        time.sleep(0.001)
        body.check()


def test_what_is_due_is_raised_where_the_body_asks() -> None:
    """A cancel, a limit or a stop is raised in the next call of the `Job`."""
    body = _body()
    thread = Thread(body, lambda: _ask(body))
    body.cancel()
    thread.thread.join(_PATIENCE_S)
    assert isinstance(thread.error, JobCancelled)
    late = _body(limit_s=0.01)
    assert isinstance(Thread(late, lambda: _ask(late)).pressed().error, JobTimedOut)
    stopped = _body()
    thread = Thread(stopped, lambda: _ask(stopped))
    stopped.stop(time.monotonic())
    assert isinstance(thread.pressed().error, JobInterrupted)


def test_a_body_that_never_asks_is_interrupted_in_its_own_code() -> None:
    """The exception has the reason."""
    body = _body()
    thread = Thread(body, _spin)
    body.cancel()
    error = thread.pressed().error
    assert isinstance(error, JobCancelled)
    assert str(error) == "the job was cancelled while it ran"


def test_nothing_is_raised_in_code_that_threads_share() -> None:
    """Otherwise a lock of the logging module would stay taken forever."""
    body, release = _body(), threading.Event()

    def call() -> None:
        release.wait(_PATIENCE_S)
        _spin()

    thread = Thread(body, call)
    body.cancel()
    for _ in range(10):
        body.interrupt_if_due(time.monotonic())
        time.sleep(0.01)
    assert thread.thread.is_alive()
    release.set()
    assert isinstance(thread.pressed().error, JobCancelled)


def test_nothing_is_raised_within_a_shield() -> None:
    """An exception that came due is raised at its end."""
    body, entered, reached = _body(), threading.Event(), threading.Event()

    def call() -> None:
        with body.shield():
            entered.set()
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                pass
            reached.set()

    thread = Thread(body, call)
    assert entered.wait(_PATIENCE_S)
    body.cancel()
    assert isinstance(thread.pressed().error, JobCancelled)
    assert reached.is_set()


@pytest.mark.parametrize("why", [JobCancelled, JobTimedOut])
def test_a_body_that_swallows_does_not_get_away_with_it(why: type[JobControl]) -> None:
    """The body returns a value, but its job ends by the cancel or the limit all the same."""
    body = _body(limit_s=0.5 if why is JobTimedOut else None)  # long enough for the body to begin on a busy machine

    def call() -> str:
        try:
            _spin()
        except JobControl:
            return "no"
        return "never"

    thread = Thread(body, call)
    if why is JobCancelled:
        body.cancel()
    assert isinstance(thread.pressed().error, why)


def test_exceptions_from_outside_never_leave_the_body() -> None:
    """An exception that is raised just as the body returns comes out of `run`, or not at all."""
    for turn in range(100):
        body = _body()

        def call(turn: int = turn) -> int:
            return sum(range(turn * 20))

        thread = Thread(body, call)
        body.cancel()
        thread.pressed()
        assert thread.error is None or isinstance(thread.error, JobCancelled)
        assert body.outcome is not None


def test_a_body_is_held_and_goes_on() -> None:
    """The time does not count for its limit, and the status gives the reason."""
    resumed = threading.Event()
    body = _body(limit_s=60.0, on_resume=resumed.set)
    thread = Thread(body, lambda: _went_on(body))
    thread.thread.join(_PATIENCE_S)
    assert thread.value == "went on"
    held = _body(limit_s=60.0, on_resume=resumed.set)
    held.apply_power(LOW, grace_s=1.0)
    thread = Thread(held, lambda: _went_on(held))
    deadline = time.monotonic() + _PATIENCE_S
    while held.running_job.held is None:
        assert time.monotonic() < deadline
    assert held.running_job.held.until == "the sun shines"
    assert held.interrupt_if_due(time.monotonic()) is None
    held.apply_power(GOOD, grace_s=1.0)
    thread.thread.join(_PATIENCE_S)
    assert thread.value == "went on"
    assert resumed.is_set()
    assert held.held_s > 0
    assert held.running_job.held is None


def test_a_held_body_is_cancelled_at_once() -> None:
    """The cancel wakes it."""
    body = _body()
    body.apply_power(LOW, grace_s=1.0)
    thread = Thread(body, body.check)
    body.cancel()
    thread.thread.join(_PATIENCE_S)
    assert isinstance(thread.error, JobCancelled)


def test_critical_power_gives_a_grace_that_can_be_taken_back() -> None:
    """A body with saved progress ends at once. Any other one ends after the grace time."""
    body = _body()
    body.apply_power(CRITICAL, grace_s=60.0)
    assert body.stopping()
    body.check()
    with pytest.raises(JobInterrupted, match="power is critical"):
        body.check(saved=True)
    body.apply_power(GOOD, grace_s=60.0)
    assert not body.stopping()
    body.check(saved=True)
    body.apply_power(CRITICAL, grace_s=0.0)
    with pytest.raises(JobInterrupted):
        body.check()


def test_a_body_that_would_not_end_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value is dropped, and its `Job` raises from then on."""
    monkeypatch.setattr(module, "ABANDON_S", 0.05)
    body, release = _body(), threading.Event()
    thread = Thread(body, lambda: release.wait(_PATIENCE_S))
    assert body.give_up(time.monotonic()) is None
    body.cancel()
    body.interrupt_if_due(time.monotonic())
    time.sleep(0.06)
    assert isinstance(body.give_up(time.monotonic()), JobCancelled)
    release.set()
    thread.thread.join(_PATIENCE_S)
    assert body.outcome is None
    with pytest.raises(JobCancelled):
        body.check()
    with pytest.raises(JobCancelled):
        body.files(Path)("a.txt")
    with pytest.raises(JobCancelled), body.shield():
        pytest.fail("saved for a job that has ended")
