"""Jobs that wait for others run with a real worker: results are passed on, and a failure ends the jobs after it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from celery import Celery, Signature, chain, group
from kombu import Queue

from edge.cli.main import main
from edge.client import Client
from edge.config import BrokerConfig, load
from edge.core.errors import JobFailed, UnknownJob
from edge.model import FailureCode, JobState, PowerState
from edge.wire import BatchItem
from tests.conftest import MakeConfig
from tests.integration.test_spawn import Gateway
from tests.running_worker import StartWorker, report_power

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
    (tmp_path / "page.py").write_text(examples("kinds")[0])
    config = make_config(broker=broker, tasks=["graph", "page"])
    report_power(config, PowerState.NORMAL)
    edge_env["PYTHONPATH"] = str(tmp_path)
    gateway = Gateway(config, edge_env, tmp_path / "gateway.log")
    start_worker(config)
    yield gateway.client
    gateway.close()


def test_results_are_handed_on(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Results are passed from job to job in the order of the graph; the tree shows each job once."""
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
    """A failure ends all jobs after it, and each names the first failed one; `after_failure="run"` still runs."""
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
    """A cancel of a job, even of one that waits for its time, ends the jobs after it."""
    first = client.submit("add", 1, 1, delay_s=1000.0)
    second = client.submit("add", 1, 1, after=[first])
    first.cancel()
    failure = second.wait(LIMIT_S).failure
    assert failure is not None
    assert failure.message == f"job {first.id} was cancelled, and this one was to run after it"


def test_a_body_spawns_jobs_that_wait(client: Client) -> None:
    """A body can spawn jobs that wait, with the same arguments as a submitter."""
    first, second, lost = client.submit("plans").value(LIMIT_S)
    assert client.wait(second, timeout=LIMIT_S).value == 13
    assert client.job(second).priority == 7
    assert client.result(first).value == 3
    failure = client.wait(lost, timeout=LIMIT_S).failure
    assert failure is not None
    assert failure.message == "job nobody-knows is not known, and this one was to run after it"


def test_lines_of_a_batch_name_one_another(client: Client) -> None:
    """Lines of a batch may refer to one another in any order."""
    jobs = client.submit_many(
        [
            BatchItem("add", [{"$result": "left"}, {"$result": "right"}], ref="sum"),
            BatchItem("add", [1, 2], ref="left"),
            BatchItem("add", [30, 40], ref="right"),
        ]
    )
    assert jobs[0].value(LIMIT_S) == 73


def value_of(client: Client, job_id: str) -> object:
    """Return the value of a job of plain Celery; the gateway knows the job only after a worker had its message."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return client.wait(job_id, timeout=LIMIT_S).value
        except UnknownJob:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_plain_celery_may_ask_for_later_and_for_a_chain(client: Client, broker: BrokerConfig) -> None:
    """Plain Celery may use `countdown`, `eta`, `chain` and `group`."""
    url = f"amqp://{broker.user}:{broker.password()}@{broker.host}:{broker.port}//"
    with Celery("plain", broker=url, set_as_current=False) as app:
        app.conf.task_queues = [Queue("edge.normal", no_declare=True)]

        def add(*args: int) -> Signature:
            return app.signature("add", args=args, queue="edge.normal")

        began = time.monotonic()
        late = add(1, 2).apply_async(countdown=2)
        chained = chain(add(1, 2), add(10), add(100)).apply_async()
        grouped = group(add(1, n) for n in range(3)).apply_async()
        assert [value_of(client, each.id) for each in grouped.children] == [1, 2, 3]
        assert value_of(client, chained.id) == 113
        assert value_of(client, chained.parent.id) == 13
        assert value_of(client, late.id) == 3
        assert time.monotonic() - began > 1.5


PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "waiting.md").read_text()


def examples(kind: str) -> list[str]:
    """Return the code under each `<!-- test: KIND -->` of docs/how-to/waiting.md."""
    return re.findall(rf"<!-- test: {re.escape(kind)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_of_the_page_work(client: Client, tmp_path: Path, edge_env: dict[str, str]) -> None:
    """The commands, the program, the batch and the limits of the page work."""
    env = edge_env | {"EDGE_URL": client.settings.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    later, first, unique = (run("bash", "-euc", block).split() for block in examples("shell"))
    assert all(client.job(job_id).due_at for job_id in later)
    assert first[1:] == ["has", "priority", "9"]
    assert unique[0] == unique[1]
    (program,) = examples("program")
    assert run(sys.executable, "-c", program) == "-5.0 succeeded\n"
    (lines,) = examples("batch")
    jobs = client.submit_many(msgspec.json.decode(line, type=BatchItem) for line in lines.splitlines())
    assert jobs[-1].value(LIMIT_S) == "-5.0"
    (limits,) = examples("edge.yaml")
    (tmp_path / "limits.yaml").write_text(limits)
    assert load(tmp_path / "limits.yaml", env={}).config.limits["measure"].per_minute == 30
