"""The status of a worker with many jobs."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest

from edge.config import Config
from edge.model import PowerState, RunningJob, WaitReason, WorkerState, WorkerStatus
from edge.worker.process.threads_status import ThreadsStatus

HELD = WaitReason(0.0, "low")


class Watched:
    """A status, the jobs that it shows, and the timers of the event loop."""

    def __init__(self, config: Config) -> None:
        config.run.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.jobs: tuple[RunningJob, ...] = ()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.status = ThreadsStatus(config.layout, "io", self._later, jobs=lambda: self.jobs, slots=9)

    def _later(self, after_s: float, call: Callable[[], None]) -> None:
        self.timers.append((after_s, call))

    @property
    def written(self) -> WorkerStatus:
        """The content of the file."""
        return msgspec.json.decode(self.config.layout.worker("io").read_bytes(), type=WorkerStatus)


@pytest.fixture
def watched(config: Config) -> Watched:
    watched = Watched(config)
    watched.status.update_queues(("edge.io.normal",), PowerState.NORMAL)
    return watched


def test_all_jobs_are_shown(watched: Watched) -> None:
    """The field `job`, which readers of other workers use, stays empty."""
    watched.jobs = (RunningJob("a", "wait", 0.0), RunningJob("b", "wait", 0.0))
    watched.status.flush()
    written = watched.written
    assert (written.state, written.job, written.jobs, written.slots) == (WorkerState.RUNNING, None, watched.jobs, 9)
    assert written.running == watched.jobs


def test_held_is_a_worker_whose_jobs_are_all_held(watched: Watched) -> None:
    """A worker with one job that is not held is running."""
    watched.jobs = (RunningJob("a", "wait", 0.0, held=HELD), RunningJob("b", "wait", 0.0))
    watched.status.flush()
    states = [watched.written.state]
    watched.jobs = watched.jobs[:1]
    watched.status.flush()
    assert [*states, watched.written.state] == [WorkerState.RUNNING, WorkerState.HELD]


def test_changes_are_written_together_and_seldom(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand changes make one timer, and one write when it fires."""
    watched.timers.clear()
    for number in range(1000):
        watched.jobs = (RunningJob("a", "wait", 0.0, attempt=number),)
        watched.status.changed()
        watched.status.finished()
    assert len(watched.timers) == 1
    assert not watched.written.jobs
    monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    watched.timers[0][1]()
    assert [job.attempt for job in watched.written.jobs] == [999]
    assert watched.status.flush_in_s is None


def test_a_worker_without_a_connection_still_shows_its_jobs(watched: Watched) -> None:
    """The bodies continue without a connection."""
    watched.jobs = (RunningJob("a", "wait", 0.0),)
    watched.status.update(state=WorkerState.DISCONNECTED, queues=())
    assert (watched.written.state, watched.written.jobs) == (WorkerState.DISCONNECTED, watched.jobs)
