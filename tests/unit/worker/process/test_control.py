"""How a body is interrupted, and where that may happen."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from edge.worker.process import control as module
from edge.worker.process.control import Control, JobCancelled, JobControl, JobInterrupted, JobTimedOut


class Seen:
    """The callbacks that the control called."""

    def __init__(self) -> None:
        self.stops = 0
        self.lasted = 0
        self.stubborn: list[JobControl] = []


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def control(seen: Seen) -> Iterator[Control]:
    """Return a control with a grace time of 0.2 s. The signal handlers of this process are restored."""

    def stop() -> None:
        seen.stops += 1

    def lasting() -> None:
        seen.lasted += 1

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)  # a shell's `make test &` hands SIGINT down ignored
    yield Control(stop_grace_s=0.2, on_stop=stop, on_stubborn=seen.stubborn.append, on_lasting=lasting)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def _nap(seconds: float) -> str:
    time.sleep(seconds)
    return "well"


def _later(delay_s: float, call: object, *args: object) -> threading.Timer:
    timer = threading.Timer(delay_s, call, args)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_a_body_gives_its_value(control: Control) -> None:
    """If nothing comes due, nothing is raised. The alarm is off after the body."""
    assert control.run("a", lambda: 7, limit_s=60) == 7
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_limit_ends_a_sleeping_and_a_busy_body(control: Control) -> None:
    """The body waits in the kernel or runs in a loop."""

    def busy() -> None:
        while True:
            pass

    for body in (lambda: time.sleep(30), busy):
        began = time.monotonic()
        with pytest.raises(JobTimedOut, match=r"0\.1 s"):
            control.run("a", body, limit_s=0.1)
        assert time.monotonic() - began < 5


def test_except_exception_lets_it_pass(control: Control) -> None:
    """A body that is written with care does not swallow it."""

    def body() -> str:
        try:
            time.sleep(30)
        except Exception:
            return "swallowed"
        return "slept"

    with pytest.raises(JobTimedOut):
        control.run("a", body, limit_s=0.1)


def test_a_swallowed_limit_is_raised_again_and_counts_in_the_end(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One `except:` does not let the body run for the rest of the night."""
    monkeypatch.setattr(module, "AGAIN_S", 0.1)
    raised = 0

    def body() -> str:
        nonlocal raised
        for _ in range(3):
            try:
                time.sleep(30)
            except BaseException:
                raised += 1
        return "done"

    with pytest.raises(JobTimedOut):
        control.run("a", body, limit_s=0.1)
    assert raised == 3


def test_a_body_that_never_gives_in_is_given_up(control: Control, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `MOST_SWALLOWED` tries the worker is notified, and it ends its process."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    monkeypatch.setattr(module, "MOST_SWALLOWED", 3)

    def body() -> None:
        while not seen.stubborn:
            try:
                time.sleep(0.01)
            except BaseException:
                continue

    with pytest.raises(JobTimedOut):
        control.run("a", body, limit_s=0.01)
    assert isinstance(seen.stubborn[0], JobTimedOut)


def test_a_cancel_hits_its_job_only(control: Control) -> None:
    """A cancel of another job has no effect. One that came before the body counts."""
    control.install()
    control.cancel("b")
    timer = _later(0.05, control.cancel, "b")
    assert control.run("a", lambda: _nap(0.2), limit_s=None) == "well"
    timer.join()
    timer = _later(0.05, control.cancel, "a")
    with pytest.raises(JobCancelled):
        control.run("a", lambda: time.sleep(30), limit_s=None)
    timer.join()
    control.cancel("c")
    with pytest.raises(JobCancelled):
        control.run("c", lambda: "not begun", limit_s=None)


def test_a_stop_gives_its_grace(control: Control, seen: Seen) -> None:
    """A body that ends in the grace time ends as usual. A longer one is interrupted."""
    control.install()
    timer = _later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    assert control.run("a", lambda: _nap(0.15), limit_s=None) == "well"
    timer.join()
    assert (seen.stops, control.stopping) == (1, True)
    with pytest.raises(JobInterrupted):
        control.run("b", lambda: time.sleep(30), limit_s=None)


def test_a_second_stop_has_no_grace(control: Control) -> None:
    """A person who stops the worker twice wants it to end now."""
    control._grace_s = 60
    control.install()

    def ask_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not control.stopping:  # two that are pending at once are one to the kernel
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    timers: list[threading.Timer] = []

    def body() -> None:
        timers.append(_later(0, ask_twice))  # not before the body has begun, however slow the machine is
        time.sleep(30)

    began = time.monotonic()
    with pytest.raises(JobInterrupted):
        control.run("a", body, limit_s=None)
    assert time.monotonic() - began < 25, "the body slept to its end"
    timers[0].join()


def test_a_stop_is_taken_where_all_is_saved(control: Control) -> None:
    """`check(saved=True)` does not wait for the end of the grace time; `check()` does."""
    control._grace_s = 60
    control.stopping, control._stop_at = True, time.monotonic() + 60

    def body() -> None:
        control.check()
        control.check(saved=True)

    with pytest.raises(JobInterrupted):
        control.run("a", body, limit_s=None)


def test_nothing_is_raised_behind_a_shield(control: Control) -> None:
    """An exception that came due inside is raised at its end."""
    inside = False

    def body() -> None:
        nonlocal inside
        with control.shield():
            time.sleep(0.2)
            inside = True

    with pytest.raises(JobTimedOut):
        control.run("a", body, limit_s=0.05)
    assert inside


def test_nothing_is_raised_outside_a_body(control: Control) -> None:
    """A cancel or an alarm between two jobs belongs to no body."""
    control.install()
    control._cancelled_id = "a"
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGALRM)
    control.check()


def test_a_body_that_lasts_is_reported(control: Control, seen: Seen) -> None:
    """The callback is called once, and only if `lasting_s` is set."""
    control.run("a", lambda: time.sleep(0.3), limit_s=None, lasting_s=0.1)
    assert seen.lasted == 1
    control.run("a", lambda: None, limit_s=None, lasting_s=0.1)
    control.run("a", lambda: time.sleep(0.2), limit_s=None)
    assert seen.lasted == 1


def test_a_body_may_not_keep_the_signals(control: Control) -> None:
    """The next body can be interrupted again."""
    control.run("a", lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN), limit_s=None)
    with pytest.raises(JobTimedOut):
        control.run("b", lambda: time.sleep(30), limit_s=0.1)
