"""The image's entry point starts real workers by name, as `WORKERS` of the compose file says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edge.broker import topology
from edge.config import BrokerConfig
from edge.model import JobState, PowerState, WorkerState, WorkerStatus
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_worker import PATIENCE_S, publish, report_power, until

pytestmark = pytest.mark.broker
REPO = Path(__file__).parents[2]
QUEUES = {"main": "edge.always", "io": "edge.io.always"}
KINDS = """
import threading
from edge.worker import task

def thread() -> str:
    return "main" if threading.current_thread() is threading.main_thread() else "another"

@task(power="always")
def compute() -> str:
    return thread()

@task(pool="io", power="always")
def fetch() -> str:
    return thread()
"""


@pytest.mark.parametrize("queues", ["", ",".join(QUEUES.values())])
def test_workers_by_name(
    broker: BrokerConfig, make_config: MakeConfig, edge_env: dict[str, str], tmp_path: Path, queues: str
) -> None:
    """`main` runs one body at a time and `io` runs threads; with `QUEUES` each takes the jobs of these queues."""
    (tmp_path / "kinds.py").write_text(KINDS)
    config = make_config(broker, tasks=["kinds"])
    report_power(config, PowerState.NORMAL)
    env = edge_env | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "WORKERS": "main,io", "QUEUES": queues}
    env["EDGE_RUN"] = str(config.run)
    with (tmp_path / "log").open("wb") as log:
        argv = ["bash", str(REPO / "container/run"), "worker"]
        process = subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=log, stderr=log)

    def words() -> str:
        return (tmp_path / "log").read_text()[-4000:]

    def idle(name: str) -> bool:
        path = config.layout.worker(name)
        return path.exists() and msgspec.json.decode(path.read_bytes(), type=WorkerStatus).state is WorkerState.IDLE

    try:
        until(lambda: all(map(idle, QUEUES)), words)
        healthy = [sys.executable, "-IS", str(REPO / "container/healthy"), "worker"]
        assert subprocess.run(healthy, env=env, check=False).returncode == 0
        with topology.open_channel(broker) as channel:
            topology.declare(channel, more=["edge.io.always"])
        kinds = {"compute": "edge.always", "fetch": "edge.io.always"}
        jobs = [publish(broker, kind, queue=queue) for kind, queue in kinds.items() for _ in range(10)]
        found = Results(config.layout)
        until(lambda: all(map(found.has, jobs)), words)
        results = [result for job in jobs if (result := found.read(job)) is not None]
        assert {result.state for result in results} == {JobState.SUCCEEDED}
        threads = {"main": "main", "io": "another"}
        assert all(result.value == threads[result.worker] for result in results)
        if not queues:
            assert {(result.task, result.worker) for result in results} == {("compute", "main"), ("fetch", "io")}
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, words()
