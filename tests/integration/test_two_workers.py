"""Two workers on one queue share its jobs: each job ends once, both do some, and a pause stops both."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from kombu import Producer

from edge.broker import topology
from edge.config import BrokerConfig, Config
from edge.model import Power, PowerState, WorkerState, WorkerStatus
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, depth, report_power, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

NAMES = ("main", "second")
COUNT = 400

BEGINS = '''
import os
from edge.worker import Job, task

@task
def note(seconds: float, job: Job) -> int:
    """Say that this body begins, and in which process."""
    import time
    fd = os.open(job.settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{job.id} {os.getpid()}\\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return os.getpid()
'''


@pytest.fixture
def noting(broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path) -> Config:
    """A configuration with a task that records its begin, and with paused power."""
    (tmp_path / "noting.py").write_text(BEGINS)
    config = make_config(broker=broker, tasks=["noting"], settings={"note": {"log": str(tmp_path / "begins")}})
    report_power(config, PowerState.PAUSED)
    return config


@pytest.fixture
def pair(noting: Config, start_worker: StartWorker) -> list[RunningWorker]:
    """Two paused workers of one board."""
    both = [start_worker(noting, EDGE_WORKER_NAME=name) for name in NAMES]
    until(lambda: states(noting) == [WorkerState.PAUSED] * 2, lambda: f"{states(noting)}")
    return both


def statuses(config: Config) -> list[WorkerStatus]:
    """Return the status of each of the two."""
    paths = [config.layout.worker(name) for name in NAMES]
    return [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in paths if path.exists()]


def states(config: Config) -> list[WorkerState]:
    """Return the state of each of the two."""
    return [status.state for status in statuses(config)]


def begun(config: Config) -> list[list[str]]:
    """Return job and process of every body that began."""
    path = Path(config.settings["note"]["log"])
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def feed(broker: BrokerConfig, count: int, seconds: float) -> list[str]:
    """Publish `count` jobs at once."""
    jobs = [str(uuid.uuid4()) for _ in range(count)]
    with topology.connection(broker, confirm=True, timeout_s=20.0) as link:
        topology.declare(link.default_channel)
        producer = Producer(link.default_channel)
        for job in jobs:
            headers = {"lang": "py", "task": "note", "id": job, "root_id": job, "eta": None, "expires": None}
            body = [[seconds], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
            queue = topology.queue_name(Power.NORMAL)
            producer.publish(body, routing_key=queue, headers=headers, serializer="json", delivery_mode=2)
    return jobs


@pytest.mark.parametrize("seconds", [0.0, 0.03])
def test_each_job_ends_once_and_both_do_some(
    pair: list[RunningWorker], noting: Config, broker: BrokerConfig, seconds: float
) -> None:
    """Short jobs are taken by the window and others one at a time; in both cases the workers share the queue."""
    results, count = pair[0].results, COUNT if not seconds else 60
    jobs = feed(broker, count, seconds)
    report_power(noting, PowerState.NORMAL)
    until(lambda: all(map(results.has, jobs)), lambda: f"all results; {pair[0].log_tail()}\n{pair[1].log_tail()}")
    assert Counter(job for job, _ in begun(noting)) == Counter(jobs)
    made = Counter(result.worker for job in jobs if (result := results.read(job)) is not None)
    assert sorted(made) == sorted(NAMES), made
    assert min(made.values()) >= count // 10, made
    until(lambda: states(noting) == [WorkerState.IDLE] * 2, lambda: f"{states(noting)}")
    assert depth(broker) == 0


def test_a_pause_stops_both(pair: list[RunningWorker], noting: Config, broker: BrokerConfig) -> None:
    """After both report the pause no body begins and no message stays in hand; after a resume the rest runs once."""
    jobs = feed(broker, COUNT, 0.002)
    report_power(noting, PowerState.NORMAL)
    until(lambda: len({pid for _, pid in begun(noting)}) == len(NAMES), "both begin")
    report_power(noting, PowerState.PAUSED)
    until(lambda: states(noting) == [WorkerState.PAUSED] * 2, lambda: f"{states(noting)}")
    before = len(begun(noting))
    assert before < COUNT, "the pause came too late to tell anything"
    until(lambda: depth(broker) + before == COUNT, lambda: f"{depth(broker)} in the queue, {before} begun of {COUNT}")
    assert sum(map(pair[0].results.has, jobs)) == before
    assert len(begun(noting)) == before
    report_power(noting, PowerState.NORMAL)
    until(
        lambda: all(map(pair[0].results.has, jobs)), lambda: f"all results; {pair[0].log_tail()}\n{pair[1].log_tail()}"
    )
    assert Counter(job for job, _ in begun(noting)) == Counter(jobs)
