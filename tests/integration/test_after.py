"""Jobs after one another, with a real worker: results are handed on, a failure ends what comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.client import Client
from edge.config import BrokerConfig
from edge.core.errors import JobFailed
from edge.model import FailureCode, JobState, PowerState
from edge.wire import BatchItem
from tests.conftest import MakeConfig
from tests.integration.test_spawn import Gateway
from tests.running_worker import StartWorker, tell_power

TASKS = '''
import time
from edge.worker import Job, task

@task
def add(a: int, b: int) -> int:
    return a + b

@task
def fails() -> None:
    time.sleep(0.5)
    raise RuntimeError("no such luck")

@task
def plans(job: Job) -> list[str]:
    """Spawn jobs that wait for one another."""
    first = job.spawn(add, 1, 2)
    second = job.spawn(add, {"$result": first}, 10, delay_s=0.2, priority=7)
    lost = job.spawn(add, 5, 6, after=["nobody-knows"])
    return [first, second, lost]
'''
LIMIT_S = 60.0
pytestmark = pytest.mark.broker


@pytest.fixture
def client(
    broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path, edge_env: dict[str, str], start_worker: StartWorker
) -> Iterator[Client]:
    """A client of a gateway with a worker."""
    (tmp_path / "graph.py").write_text(TASKS)
    config = make_config(broker=broker, tasks=["graph"])
    tell_power(config, PowerState.NORMAL)
    edge_env["PYTHONPATH"] = str(tmp_path)
    gateway = Gateway(config, edge_env, tmp_path / "gateway.log")
    start_worker(config)
    yield gateway.client
    gateway.close()


def test_results_are_handed_on(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """From job to job, in the order of the graph; the tree shows each once."""
    one = client.submit("add", 1, 2, delay_s=1.0)
    two = client.submit("add", {"$result": one.id}, 10, priority=9)
    three = client.submit("add", {"$result": two.id}, {"$result": one.id}, after=[one])
    assert main(["--url", client.settings.url, "status", "--tree", one.id]) == 0
    tree = capsys.readouterr().out
    assert f"├─ then {min(two.id, three.id)}" in tree
    assert f"then {three.id} add accepted (see above)" in tree or tree.count(three.id) == 2
    assert three.value(LIMIT_S) == 16
    assert (one.value(LIMIT_S), two.value(LIMIT_S)) == (3, 13)


def test_a_failure_ends_all_that_comes_after_it(client: Client) -> None:
    """Each names the first one of the chain; where it does not matter, a job runs all the same."""
    first = client.submit("fails")
    second = client.submit("add", 1, 1, after=[first])
    third = client.submit("add", 1, 2, after=[second])
    anyway = client.submit("add", 1, 3, after=[third], after_failure="run")
    wants = client.submit("add", 1, {"$result": first.id}, after_failure="run")
    assert anyway.value(LIMIT_S) == 4
    for job in (second, third):
        result = job.wait(LIMIT_S)
        assert (result.state, result.attempts) == (JobState.FAILED, 0)
        assert result.failure is not None
        assert result.failure.code is FailureCode.DEPENDENCY_FAILED
        assert result.failure.message.startswith(f"job {first.id} failed")
    with pytest.raises(JobFailed, match="is an argument, and it failed"):
        wants.value(LIMIT_S)


def test_a_cancel_ends_what_comes_after(client: Client) -> None:
    """Of a job that waits for its time, too."""
    first = client.submit("add", 1, 1, delay_s=1000.0)
    second = client.submit("add", 1, 1, after=[first])
    first.cancel()
    failure = second.wait(LIMIT_S).failure
    assert failure is not None
    assert failure.message == f"job {first.id} was cancelled, and this one was to run after it"


def test_a_body_spawns_jobs_that_wait(client: Client) -> None:
    """With the same words as a submitter."""
    first, second, lost = client.submit("plans").value(LIMIT_S)
    assert client.wait(second, timeout=LIMIT_S).value == 13
    assert client.job(second).priority == 7
    assert client.result(first).value == 3
    failure = client.wait(lost, timeout=LIMIT_S).failure
    assert failure is not None
    assert failure.message == "job nobody-knows is not known, and this one was to run after it"


def test_lines_of_a_batch_name_one_another(client: Client) -> None:
    """Whatever their order."""
    jobs = client.submit_many(
        [
            BatchItem("add", [{"$result": "left"}, {"$result": "right"}], ref="sum"),
            BatchItem("add", [1, 2], ref="left"),
            BatchItem("add", [30, 40], ref="right"),
        ]
    )
    assert jobs[0].value(LIMIT_S) == 73
