"""Each spawned job is made once and ends once, whatever process dies; the tree shows them all."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge.cli.main import main
from edge.client import Client
from edge.config import BrokerConfig, Config
from edge.core.errors import EdgeError
from edge.model import JobState, PowerState, spawned_job_id
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.integration.test_gateway_process import started
from tests.running_worker import RunningWorker, StartWorker, report_power, until

TASKS = '''
import time
from edge.worker import Job, task

@task
def leaf(number: int, job: Job) -> int:
    """End at once, and say that it ran."""
    with (job.folder / "ran").open("a") as file:
        file.write(f"{number}\\n")
    return number

@task
def fan(count: int, pause: float, job: Job) -> int:
    """Spawn so many leaves, slowly."""
    for number in range(count):
        job.spawn(leaf, number, key=f"leaf {number}" if number % 2 else None)
        time.sleep(pause)
        job.check()
    return count

@task
def branch(job: Job) -> str:
    """Spawn a job that spawns."""
    return job.spawn("fan", 3, pause=0.0)

@task(retries=1)
def fickle(job: Job) -> str:
    """Spawn another job in each attempt."""
    return job.spawn("leaf", job.attempt)

@task
def wrong(what: str, job: Job) -> str:
    """Spawn what cannot be."""
    if what == "unknown":
        return job.spawn("nobody", 1)
    if what == "missing":
        return job.spawn(leaf)
    if what == "kind":
        return job.spawn(leaf, "one")
    if what == "nan":
        return job.spawn(leaf, float("nan"))
    if what == "key":
        return job.spawn(leaf, 1, key="\\n")
    if what == "twice":
        job.spawn(leaf, 1, key="a")
        return job.spawn(leaf, 2, key="a")
    raise ValueError(what)

@task
def fails(job: Job) -> None:
    """Spawn, then fail."""
    job.spawn(leaf, 7)
    raise RuntimeError("after all")
'''
LIMIT_S = 60.0


@pytest.fixture
def board(broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path) -> Config:
    """A configuration with the kinds above and good power."""
    (tmp_path / "spawning.py").write_text(TASKS)
    config = make_config(broker=broker, tasks=["spawning"])
    report_power(config, PowerState.NORMAL)
    return config


class Gateway:
    """A gateway process that can be killed and started again."""

    def __init__(self, config: Config, env: dict[str, str], log: Path) -> None:
        self._env, self._log = env, log
        self._stack = ExitStack()
        self.client = Client(f"http://127.0.0.1:{config.gateway.port}")
        self.start()

    def start(self) -> None:
        """Start it, and return once it accepts jobs."""
        self.process: subprocess.Popen[bytes] = self._stack.enter_context(started(self._env, self._log))
        until(self._ready, self._log.read_text)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it finally."""
        self._stack.close()

    def _ready(self) -> bool:
        try:
            return bool(self.client.tasks().tasks)
        except EdgeError:
            return False


@pytest.fixture
def front(board: Config, edge_env: dict[str, str], tmp_path: Path) -> Iterator[Gateway]:
    """The board's gateway."""
    edge_env["PYTHONPATH"] = str(tmp_path)
    gateway = Gateway(board, edge_env, tmp_path / "gateway.log")
    yield gateway
    gateway.close()


@pytest.fixture
def hand(board: Config, start_worker: StartWorker) -> RunningWorker:
    """The board's worker."""
    return start_worker(board)


def all_over(front: Gateway) -> bool:
    """Return True if no job is open."""
    jobs = front.client.status().jobs
    return not any(jobs.get(state, 0) for state in JobState if not state.final)


def test_each_child_ends_once_although_worker_and_gateway_die(
    board: Config, front: Gateway, hand: RunningWorker
) -> None:
    """After a SIGKILL of both in the middle of 300 calls there are 300 children with one result each, all named."""
    job = front.client.submit("fan", 300, 0.005)
    until(lambda: front.client.job(job.id).children, "no child yet")
    assert not front.client.job(job.id).state.final
    hand.kill()
    front.kill()
    hand.again()
    time.sleep(0.5)  # the parent runs again while no gateway takes the spawned jobs
    front.start()
    assert front.client.wait(job.id, timeout=LIMIT_S).value == 300
    until(lambda: all_over(front), "jobs are open still")
    result = front.client.result(job.id)
    ids = [
        spawned_job_id(job.id, key=f"leaf {number}" if number % 2 else "", call=0 if number % 2 else number // 2 + 1)
        for number in range(300)
    ]
    assert (list(result.children), result.attempts) == (ids, 2)
    results = Results(board.layout)
    assert [found.value if (found := results.read(child)) else None for child in ids] == list(range(300))
    children = list(front.client.children(job.id))
    assert [child.id for child in children if not isinstance(child, str)] == ids
    assert front.client.job(job.id).children == {"succeeded": 300}
    assert front.client.job(ids[5]).parent == job.id
    assert sum(front.client.status().jobs.values()) == 301
    ran = (board.layout.tasks / "leaf" / "ran").read_text().split()
    assert sorted(map(int, ran)) == list(range(300))


def test_the_tree_is_shown(
    board: Config, front: Gateway, hand: RunningWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    """`edge status ID --tree` shows a grandchild with its state, also as JSON; a removed child is shown as removed."""
    del hand
    job = front.client.submit("branch")
    middle = str(front.client.wait(job.id, timeout=LIMIT_S).value)
    until(lambda: front.client.job(middle).children == {"succeeded": 3}, "no grandchildren")
    leaf = front.client.result(middle).children[1]
    url = ["--url", f"http://127.0.0.1:{board.gateway.port}"]
    assert main(["status", job.id, "--tree", *url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{job.id} branch succeeded (children: 1: 1 succeeded)")
    assert lines[1].startswith(f"└─ {middle} fan succeeded")
    assert lines[2].startswith("   ├─ ")
    assert lines[4].startswith("   └─ ")
    assert len(lines) == 5
    front.client.remove(leaf)
    until(lambda: "removed" in front.client.job(middle).children, "not removed")
    assert main(["status", job.id, "--tree", "--json", *url]) == 0
    tree: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"id": leaf, "state": "removed"} in tree["tree"][0]["tree"]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("unknown", "unknown task 'nobody': known are branch, fails, fan, fickle, leaf, wrong"),
        ("missing", "task 'leaf': argument 'number' is missing"),
        ("kind", "task 'leaf': argument 'number' = 'one': Expected int, got str"),
        ("nan", "task 'leaf': the arguments are not plain JSON"),
        ("key", "1 to 255 printable ASCII characters"),
        ("twice", "spawn, key 'a': it was used before for another task or other arguments"),
    ],
)
def test_what_cannot_be_spawned_is_an_error_in_the_body(
    front: Gateway, hand: RunningWorker, what: str, sentence: str
) -> None:
    """A bad spawn raises in the body, with the sentence of a submit."""
    del hand
    result = front.client.wait(front.client.submit("wrong", what).id, timeout=LIMIT_S)
    assert result.failure is not None
    assert sentence in result.failure.message
    assert len(result.children) == (what == "twice")


def test_children_of_a_failed_parent_stay(front: Gateway, hand: RunningWorker) -> None:
    """The children of a failed parent run, and the failure names them."""
    del hand
    job = front.client.submit("fails")
    result = front.client.wait(job.id, timeout=LIMIT_S)
    assert (result.state, len(result.children)) == (JobState.FAILED, 1)
    assert front.client.wait(result.children[0], timeout=LIMIT_S).value == 7


def test_children_are_there_while_the_parent_runs(front: Gateway, hand: RunningWorker) -> None:
    """A running parent shows the number of its children, and each child names its parent."""
    del hand
    job = front.client.submit("fan", 40, 0.1)
    until(lambda: front.client.job(job.id).children.get("queued", 0) > 1, "no children are queued")
    until(lambda: front.client.job(job.id).state is JobState.RUNNING, "the parent does not run")
    child = next(front.client.children(job.id))
    assert not isinstance(child, str)
    assert (child.parent, child.state, child.task) == (job.id, JobState.QUEUED, "leaf")
    front.client.cancel(job.id)
    result = front.client.wait(job.id, timeout=LIMIT_S)
    assert result.state is JobState.CANCELLED
    until(lambda: all_over(front), "jobs are open still")
    assert front.client.job(job.id).children == {"succeeded": len(result.children)}, result


def test_children_run_in_threads_beside_their_parent(
    broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path, edge_env: dict[str, str], start_worker: StartWorker
) -> None:
    """A main worker spawns kinds of the pool io; the worker of threads dies in between, and no job is lost."""
    (tmp_path / "spawning.py").write_text(TASKS.replace("@task\ndef leaf", '@task(pool="io")\ndef leaf', 1))
    config = make_config(broker=broker, tasks=["spawning"])
    report_power(config, PowerState.NORMAL)
    edge_env["PYTHONPATH"] = str(tmp_path)
    front = Gateway(config, edge_env, tmp_path / "gateway.log")
    try:
        start_worker(config)
        io = start_worker(config, EDGE_WORKER_NAME="io")
        job = front.client.submit("fan", 200, 0.005)
        until(lambda: front.client.job(job.id).children.get("succeeded", 0) > 20, "no child has ended")
        assert not front.client.job(job.id).state.final
        io.kill()
        io.again()
        assert front.client.wait(job.id, timeout=LIMIT_S).value == 200
        until(lambda: all_over(front), "jobs are open still")
        assert front.client.job(job.id).children == {"succeeded": 200}
        results = Results(config.layout)
        children = front.client.result(job.id).children
        assert [found.value if (found := results.read(child)) else None for child in children] == list(range(200))
    finally:
        front.close()
