"""A worker of a scaled entry that is not wanted any more ends between two jobs, with a special exit code."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from edge.broker import topology
from edge.config import BrokerConfig, Config
from edge.core import durable
from edge.core.host import boot_id
from edge.model import RETIRED_EXIT, JobState, PowerState, ScaledWorkers, ScalingStatus, WorkerState, WorkerStatus
from tests.conftest import MakeConfig
from tests.running_worker import PATIENCE_S, RunningWorker, StartWorker, depth, publish, report_power, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

KINDS = """
import subprocess
import sys
import time
from edge.worker import Job, task

@task
def nap(seconds: float, job: Job) -> int:
    time.sleep(seconds)
    return job.attempt

@task
def steps(count: int, job: Job) -> int:
    for step in range(count):
        time.sleep(0.05)
        job.checkpoint(step + 1)
    return job.attempt

@task(power="always")
def small() -> str:
    return "done"

@task(pool="io")
def fetch(seconds: float, job: Job) -> int:
    time.sleep(seconds)
    job.check()
    return job.attempt
"""
WORKERS = [{"name": "main"}, {"name": "extra", "max": 2}, {"name": "io", "pool": "threads", "max": 1}]
IO = "edge.io.normal"


@pytest.fixture
def board(broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path) -> Config:
    """A board with power, on which a test decides which workers are wanted."""
    (tmp_path / "kinds.py").write_text(KINDS)
    config = make_config(broker, tasks=["kinds"], workers=WORKERS)
    report_power(config, PowerState.NORMAL)
    with topology.open_channel(broker) as channel:
        topology.declare(channel, more=[IO])
    want(config, extra=["extra-1"], io=["io-1"])
    return config


def want(config: Config, **entries: Sequence[str]) -> None:
    """Report, as the governor does, which workers should run."""
    config.layout.scaling.parent.mkdir(parents=True, exist_ok=True)
    scaled = tuple(ScaledWorkers(name, len(workers), 0, "", tuple(workers)) for name, workers in entries.items())
    durable.replace_volatile(config.layout.scaling, msgspec.json.encode(ScalingStatus(boot_id(), 0.0, scaled)))


def start(start_worker: StartWorker, board: Config, name: str) -> RunningWorker:
    """Start the worker of that name."""
    named = replace(board, worker=replace(board.worker, name=name))
    return start_worker(named, EDGE_WORKER_NAME=name)


def begun(worker: RunningWorker, *jobs: str) -> None:
    """Wait until it runs these jobs."""
    until(lambda: (s := worker.status) and {job.id for job in s.running} >= set(jobs), lambda: f"{worker.status}")


def test_an_idle_worker_ends_at_once(board: Config, start_worker: StartWorker) -> None:
    worker = start(start_worker, board, "extra-1")
    worker.until_state(WorkerState.IDLE)
    want(board, extra=[])
    assert worker.process.wait(PATIENCE_S) == RETIRED_EXIT
    status = worker.status
    assert status is None or status.state is WorkerState.STOPPED


@pytest.mark.parametrize("kind", ["nap", "steps"])
def test_a_running_body_ends_first_and_what_waits_behind_it_is_given_back(
    board: Config, broker: BrokerConfig, start_worker: StartWorker, kind: str
) -> None:
    """A worker that retires does not leave at a checkpoint, because only a stop interrupts a body there."""
    worker = start(start_worker, board, "extra-1")
    worker.until_state(WorkerState.IDLE)
    job, *others = [publish(broker, kind, 1.5 if kind == "nap" else 30) for _ in range(3)]
    begun(worker, job)
    want(board, extra=[])
    assert worker.process.wait(PATIENCE_S) == RETIRED_EXIT
    result = worker.result(job)
    assert (result.state, result.value, result.attempts) == (JobState.SUCCEEDED, 1, 1)
    assert not any(map(worker.results.has, others))
    until(lambda: depth(broker) == len(others), lambda: f"{depth(broker)} wait")


def test_bodies_in_threads_all_end_first(board: Config, broker: BrokerConfig, start_worker: StartWorker) -> None:
    worker = start(start_worker, board, "io-1")
    worker.until_state(WorkerState.IDLE)
    jobs = [publish(broker, "fetch", 0.5 + number / 10, queue=IO) for number in range(5)]
    begun(worker, *jobs)
    want(board, io=[])
    assert worker.process.wait(PATIENCE_S) == RETIRED_EXIT
    results = [worker.result(job) for job in jobs]
    assert {(result.state, result.value, result.attempts) for result in results} == {(JobState.SUCCEEDED, 1, 1)}


def test_one_that_is_wanted_again_before_its_body_has_ended_stays(
    board: Config, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    worker = start(start_worker, board, "extra-1")
    worker.until_state(WorkerState.IDLE)
    first, second = publish(broker, "nap", 1.0), publish(broker, "nap", 0.0)
    begun(worker, first)
    want(board, extra=[])
    want(board, extra=["extra-1"])
    assert worker.result(second).worker == "extra-1"
    assert worker.process.poll() is None


def test_it_ends_while_the_broker_is_away(board: Config, make_config: MakeConfig, start_worker: StartWorker) -> None:
    config = make_config(tasks=["kinds"], workers=WORKERS)  # nothing listens there
    worker = start(start_worker, config, "extra-1")
    worker.until_state(WorkerState.DISCONNECTED)
    want(board, extra=[])
    assert worker.process.wait(PATIENCE_S) == RETIRED_EXIT


def test_a_job_of_class_always_does_not_wait_behind_a_held_one(
    board: Config, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """A held job keeps its worker from taking another one, so a job of class `always` goes to the other worker."""
    main = start_worker(board)
    main.until_state(WorkerState.IDLE)
    publish(broker, "steps", 200)
    until(lambda: (s := main.status) and s.job, lambda: f"{main.status}")
    extra = start(start_worker, board, "extra-1")
    extra.until_state(WorkerState.IDLE)
    report_power(board, PowerState.LOW)
    main.until_state(WorkerState.HELD)
    time.sleep(0.2)
    jobs = [publish(broker, "small", queue="edge.always") for _ in range(8)]
    assert {extra.result(job).worker for job in jobs} == {"extra-1"}
    status = main.status
    assert status is not None
    assert status.state is WorkerState.HELD


def test_the_workers_of_a_container_come_and_go_as_asked_for(
    board: Config, edge_env: dict[str, str], tmp_path: Path
) -> None:
    """With `edge worker --all` listed workers stay, scaled ones start by a file, and SIGTERM ends all."""
    board.layout.starts.mkdir(parents=True)
    with (tmp_path / "all.log").open("wb") as log:
        argv = [sys.executable, "-m", "edge.cli.main", "worker", "--all"]
        keeper = subprocess.Popen(argv, env=edge_env, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: living(board) == {"main"}, lambda: f"{living(board)}; {(tmp_path / 'all.log').read_text()}")
        for name in ("extra-1", "other-1"):
            (board.layout.starts / name).touch()
        until(lambda: living(board) == {"main", "extra-1"}, lambda: f"{living(board)}")
        assert not list(board.layout.starts.iterdir())
        want(board, extra=[])
        until(lambda: living(board) == {"main"}, lambda: f"{living(board)}")
    finally:
        keeper.terminate()
    assert keeper.wait(PATIENCE_S) == 0
    assert living(board) == set()


def living(board: Config) -> set[str]:
    """Return the names of the connected workers."""
    found = [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in board.run.glob("worker-*.json")]
    return {status.name for status in found if status.state is WorkerState.IDLE}
