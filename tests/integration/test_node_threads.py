"""A node with a worker of threads runs jobs of its head, and jobs that its bodies spawn are made there once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from edge.access.tokens import Scope, Tokens
from edge.config import BrokerConfig, Config, load
from edge.model import Backlog, JobState, PowerState, WorkerState
from edge.results.store import Results
from tests.conftest import MakeConfig, sections
from tests.integration.test_spawn import LIMIT_S, Gateway, all_over
from tests.running_worker import RunningWorker, StartWorker, report_power, until

pytestmark = pytest.mark.broker

KINDS = '''
import threading, time
from edge.worker import Job, task

@task(pool="io")
def page(number: int, job: Job) -> str:
    """Say that it ran, and in which thread."""
    with (job.folder / "ran").open("a") as file:
        file.write(f"{number}\\n")
    return "main" if threading.current_thread() is threading.main_thread() else "another"

@task
def crawl(count: int, pause: float, job: Job) -> int:
    """Spawn so many pages, slowly."""
    for number in range(count):
        job.spawn(page, number)
        time.sleep(pause)
        job.check()
    return job.attempt
'''


@pytest.fixture
def head(broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path) -> Config:
    """The head's configuration; its power is too low for any job."""
    (tmp_path / "kinds.py").write_text(KINDS)
    config = make_config(broker=broker, tasks=["kinds"])
    report_power(config, PowerState.CRITICAL)
    return config


@pytest.fixture
def front(head: Config, edge_env: dict[str, str], tmp_path: Path) -> Iterator[Gateway]:
    """The head's gateway, which has read its kinds of job."""
    edge_env["PYTHONPATH"] = str(tmp_path)
    gateway = Gateway(head, edge_env, tmp_path / "gateway.log")
    yield gateway
    gateway.close()


@pytest.fixture
def node(
    head: Config, front: Gateway, broker: BrokerConfig, start_worker: StartWorker, tmp_path: Path
) -> RunningWorker:
    """The ready main worker of a node with power, in addition to its worker of threads."""
    start_worker(head).until_state(WorkerState.PAUSED)  # it takes over the results of the node
    (tmp_path / "node.token").write_text(Tokens(head.layout.tokens).add("node-2", [Scope.NODE]))
    tree = {
        "root": "node",
        "run": "node-run",
        "tasks": ["kinds"],
        "broker": sections(broker),
        "worker": {"name": "node-2"},
        "workers": [{"name": "node-2"}, {"name": "io", "pool": "threads"}, {"name": "extra", "max": 2}],
        "node": {"head_url": f"http://127.0.0.1:{head.gateway.port}", "token_file": "node.token"},
    }
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(tree))
    main, threads = (load(path, env=env).config for env in ({}, {"EDGE_WORKER_NAME": "io"}))
    report_power(main, PowerState.NORMAL)
    start_worker(threads, EDGE_CONFIG=str(path), EDGE_WORKER_NAME="io").until_state(WorkerState.IDLE)
    worker = start_worker(main, EDGE_CONFIG=str(path))
    worker.until_state(WorkerState.IDLE)
    return worker


def test_threads_of_a_node_take_jobs_from_its_head(front: Gateway, node: RunningWorker) -> None:
    """The node's threads run the jobs while the head has no power, and the node keeps no files of them."""
    jobs = [front.client.submit("page", number) for number in range(20)]
    results = [front.client.wait(job.id, timeout=LIMIT_S) for job in jobs]
    assert {(result.value, result.worker, result.attempts) for result in results} == {("another", "io", 1)}
    kept = node.config.layout.results
    until(lambda: not [path for path in kept.rglob("*") if path.is_file()], f"{kept} is not empty")


def test_a_node_learns_the_backlog_of_its_head_while_it_works(front: Gateway, node: RunningWorker) -> None:
    """The node learns the backlog by kind, including the running job, and at the end that it is empty."""
    path = node.config.layout.head_backlog

    def known_backlog() -> dict[str, int] | None:
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Backlog)
        except OSError:
            return None
        return {row.kind: row.jobs for row in found.rows}

    assert known_backlog() is None
    for _ in range(2):
        front.client.submit("crawl", 1, 4.0)
    until(lambda: (known_backlog() or {}).get("crawl") == 2, lambda: f"{known_backlog()}")
    until(lambda: known_backlog() == {}, lambda: f"{known_backlog()}")
    assert all_over(front)


def test_what_a_body_of_a_node_spawns_is_made_once(head: Config, front: Gateway, node: RunningWorker) -> None:
    """Spawned jobs are made once, although the worker dies and the body names all of them again."""
    job = front.client.submit("crawl", 60, 0.05)
    until(lambda: len(list(front.client.children(job.id))) > 5, "no children")
    node.kill()
    assert not front.client.job(job.id).state.final
    node.again()
    result = front.client.wait(job.id, timeout=LIMIT_S)
    assert (result.state, result.value, result.worker) == (JobState.SUCCEEDED, 2, "node-2")
    until(lambda: all_over(front), "jobs are open still")
    assert front.client.job(job.id).children == {"succeeded": 60}
    found = Results(head.layout)
    assert {(one.worker, one.attempts) for child in result.children if (one := found.read(child))} == {("io", 1)}
    ran = (node.config.layout.tasks / "page" / "ran").read_text().split()
    assert sorted(map(int, ran)) == list(range(60))
