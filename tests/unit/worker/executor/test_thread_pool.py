"""Threads start when they are needed and end when they idle."""

from __future__ import annotations

import threading
import time

import pytest

from edge.worker.executor.thread_pool import ThreadPool

_PATIENCE_S = 20.0


def _until_threads(count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while threading.active_count() > count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_calls_run_at_once_and_their_threads_end() -> None:
    """Each call has a thread, and after some idle time there is none."""
    before = threading.active_count()
    pool, meet = ThreadPool(idle_s=0.02), threading.Barrier(9)

    def call() -> None:
        meet.wait(_PATIENCE_S)

    for _ in range(8):
        pool.submit(call)
    meet.wait(_PATIENCE_S)
    _until_threads(before)


def test_a_thread_that_idles_takes_the_next_call() -> None:
    """No further thread starts."""
    pool, seen = ThreadPool(idle_s=_PATIENCE_S), list[int]()
    for _ in range(5):
        ended = threading.Event()

        def call(ended: threading.Event = ended) -> None:
            seen.append(threading.get_ident())
            ended.set()

        pool.submit(call)
        assert ended.wait(_PATIENCE_S)
        deadline = time.monotonic() + _PATIENCE_S
        while not pool._idle and time.monotonic() < deadline:
            time.sleep(0.001)
    assert len(set(seen)) == 1


def test_no_call_is_lost_while_threads_end() -> None:
    """A call that comes while its thread is about to end still runs."""
    pool, count = ThreadPool(idle_s=0.0005), 0
    lock = threading.Lock()

    def call() -> None:
        nonlocal count
        with lock:
            count += 1

    for _ in range(500):
        pool.submit(call)
        time.sleep(0.0005)
    deadline = time.monotonic() + _PATIENCE_S
    while count < 500 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert count == 500


def test_a_deep_recursion_in_c_code_ends_in_an_exception() -> None:
    """It must not crash the process, in which many bodies run."""
    errors = list[type[BaseException]]()
    ended = threading.Event()

    def deep(_: int = 0) -> int:
        sorted([1, 2], key=deep)
        return 0

    def call() -> None:
        try:
            deep()
        except RecursionError as err:
            errors.append(type(err))
        ended.set()

    ThreadPool(idle_s=0.01).submit(call)
    assert ended.wait(_PATIENCE_S)
    assert errors == [RecursionError]


def test_the_size_of_other_threads_stacks_stays() -> None:
    """The stack size is a setting of the whole process."""
    before = threading.stack_size()
    ThreadPool(idle_s=0.01).submit(lambda: None)
    assert threading.stack_size() == before


def test_a_thread_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """`submit` raises the error."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError):
        ThreadPool().submit(lambda: None)
