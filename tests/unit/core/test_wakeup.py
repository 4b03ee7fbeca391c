"""Waking a loop from a signal handler or another thread."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from edge.core.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_a_ring_makes_it_readable_until_it_is_heard(wakeup: Wakeup) -> None:
    """One `clear` clears any number of wake-ups."""
    assert not readable(wakeup)
    for _ in range(3):
        wakeup.wake()
    assert readable(wakeup)
    assert wakeup.clear() == frozenset()
    assert not readable(wakeup)


def test_more_rings_than_a_pipe_holds_block_nobody(wakeup: Wakeup) -> None:
    """A loop in a long body clears them all at once later."""
    for _ in range(100_000):
        wakeup.wake()
    wakeup.clear()
    assert not readable(wakeup)


def test_a_ring_ends_the_wait_of_another_thread(wakeup: Wakeup) -> None:
    """The wait ends long before its timeout."""
    threading.Timer(0.05, wakeup.wake).start()
    began = time.monotonic()
    assert wakeup.wait(60)
    assert time.monotonic() - began < 50


def test_a_wait_ends_when_its_time_is_over(wakeup: Wakeup) -> None:
    """A negative timeout does not block without end."""
    assert not wakeup.wait(0.01)
    assert not wakeup.wait(-1.0)


def test_a_ring_after_close_does_nothing(wakeup: Wakeup) -> None:
    """The number of the closed pipe may belong to another file by then."""
    number = wakeup.fileno()
    wakeup.close()
    reader, writer = os.pipe()
    assert number in {reader, writer}
    try:
        wakeup.wake()
        assert not select.select([reader], [], [], 0)[0]
        wakeup.close()
    finally:
        os.close(reader)
        os.close(writer)


def test_the_numbers_of_signals_are_told(wakeup: Wakeup) -> None:
    """So a loop can distinguish a signal from a wake-up."""
    with wakeup.signals([signal.SIGUSR1]):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert wakeup.wait(10)
        wakeup.wake()
        assert wakeup.clear() == {signal.SIGUSR1}


def test_handlers_are_as_before_after_the_block(wakeup: Wakeup) -> None:
    """The descriptor that the interpreter writes to is restored too."""
    before = signal.getsignal(signal.SIGUSR1)
    with wakeup.signals([signal.SIGUSR1]):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_the_loop_says_when_it_heard_last(wakeup: Wakeup) -> None:
    """The watchdog reads the time of the last `clear`."""
    before = wakeup.cleared_at
    wakeup.clear()
    assert wakeup.cleared_at >= before
