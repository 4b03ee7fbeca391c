"""The line of `edge status` about a worker."""

from __future__ import annotations

from edge.cli.jobs.status import _worker
from edge.model import RunningJob, WaitReason, WorkerState, WorkerStatus

IO = WorkerStatus("io", 1, "boot", WorkerState.RUNNING, slots=100)


def test_many_jobs_are_told_in_one_line() -> None:
    """The jobs of a worker of threads are counted by kind, and the oldest is named."""
    jobs = (RunningJob("a", "fetch", 40.0), RunningJob("b", "fetch", 10.0), RunningJob("c", "read", 50.0))
    worker = WorkerStatus("io", 1, "boot", WorkerState.RUNNING, slots=100, jobs=jobs)
    assert _worker(worker, 100.0) == ("io: running 3 of 100 jobs at once: 2 fetch, 1 read; the oldest is b, for 90 s")
    assert _worker(IO, 100.0) == "io: running 0 of 100 jobs at once"


def test_held_jobs_are_counted() -> None:
    """Held jobs are counted, with the reason of one of them."""
    jobs = (RunningJob("a", "fetch", 90.0, held=WaitReason(95.0, "power is low")), RunningJob("b", "fetch", 95.0))
    worker = WorkerStatus("io", 1, "boot", WorkerState.RUNNING, slots=9, jobs=jobs)
    assert "2 fetch, 1 held: power is low; the oldest is a" in _worker(worker, 100.0)
