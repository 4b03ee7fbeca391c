"""Starts the appliance as a board runs it, `edge up` with a new state root, and measures it from outside."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from edge.client import Client
from edge.config import Config, load
from edge.core.errors import EdgeError
from edge.model import Submission
from edge.results.store import Results
from edge.up.broker.ports import free_ports
from tests.bench import meters
from tests.bench.waiting import wait_for

#: Text in a command line -> part of the board; the worker's freezer counts as the worker.
MARKS = {"edge.gateway": "gateway", "edge.worker": "worker", "edge.power": "governor", "beam.smp": "broker"}
_READY_S = 120.0
_RESULT_S = 600.0
_TMPFS = Path("/dev/shm")


class Appliance:
    """An `edge up` that is ready when the constructor returns.

    `run` is on a tmpfs if the machine has one that everyone may use, as `/run/edge` is on a board.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        tasks: tuple[str, ...] = ("tests.bench.programs.kinds",),
        env: Mapping[str, str] | None = None,
    ) -> None:
        gateway, broker = free_ports(1)[0], _three_in_a_row()
        root.mkdir(parents=True)
        tree: dict[str, Any] = {
            "root": ".",
            "run": tempfile.mkdtemp(prefix="edge-run-", dir=_TMPFS if _TMPFS.is_dir() else root),
            "tasks": list(tasks),
            "broker": {"port": broker, "password_file": "broker/password"},
            "gateway": {"port": gateway, "loopback_without_token": True, "max_batch_jobs": 100_000},
            **(settings or {}),
        }
        (root / "edge.yaml").write_text(yaml.safe_dump(tree))
        self.config: Config = load(root / "edge.yaml", env={}).config
        self.root = root
        self.url = f"http://127.0.0.1:{gateway}"
        self.results = Results(self.config.layout)
        self._log = (root / "up.log").open("wb")
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("edge"), "up", "--root", root],
            env={key: value for key, value in os.environ.items() if not key.startswith("EDGE_")} | dict(env or {}),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.client = Client(self.url)
        try:
            wait_for(self._ready, seconds=_READY_S, why=f"the appliance (see {root}/up.log)", every_s=0.05)
            assert set(MARKS.values()) <= self.parts.keys(), self.parts
        except BaseException:
            self.stop()
            raise

    @property
    def parts(self) -> dict[str, list[int]]:
        """The ids of the running processes of each part; a board may have several workers."""
        return meters.pids_by_part(self._process.pid, MARKS)

    @property
    def broker_url(self) -> str:
        """The address of this board's broker for a plain Celery worker."""
        broker = self.config.broker
        return f"amqp://{quote(broker.user)}:{quote(broker.password())}@{broker.host}:{broker.port}//"

    def stop(self) -> None:
        """Stop the appliance as Ctrl-C does."""
        self.client.close()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        self._log.close()
        shutil.rmtree(self.config.run, ignore_errors=True)

    def costs(self) -> dict[str, meters.Cost]:
        """Return the cost of each part since its start: gateway, worker, broker, governor and `other`."""
        return meters.cost_by_part(self._process.pid, MARKS)

    def stop_workers(self) -> None:
        """Stop the worker processes with SIGSTOP, so that they take no jobs."""
        for pid in self.parts["worker"]:
            os.kill(pid, signal.SIGSTOP)

    def resume_workers(self) -> None:
        """Continue the stopped workers."""
        for pid in self.parts["worker"]:
            os.kill(pid, signal.SIGCONT)

    def batch(self, count: int, task: str = "echo") -> list[str]:
        """Submit `count` jobs in batches, and return their ids."""
        rest = ["hello"] if task == "echo" else []
        return [job.id for job in self.client.submit_many(Submission(task, [n, *rest]) for n in range(count))]

    def await_handed_over(self) -> None:
        """Return when the broker has confirmed all released jobs; the rest waits in the ledger."""

        def handed_over() -> bool:
            jobs = self.client.status().jobs
            return not jobs.get("accepted") or jobs.get("queued", 0) >= self.config.gateway.release_window

        wait_for(handed_over, seconds=_RESULT_S, why="the broker's confirm of all jobs", every_s=0.5)

    def await_results(self, ids: list[str]) -> None:
        """Return when each job has a result file; the last job is checked first."""
        for job_id in reversed(ids):
            path = self.results.path(job_id)
            wait_for(path.exists, seconds=_RESULT_S, why=f"result of {job_id} (see {self.root}/up.log)")

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"edge up ended with {self._process.returncode}: {(self.root / 'up.log').read_text()}")
        try:
            status = self.client.status()
        except EdgeError:
            return False
        return status.tasks > 0 and any(worker.queues for worker in status.workers)


def _three_in_a_row() -> int:
    """Find three consecutive free ports, as the broker of `edge up` needs them, and return the first."""
    for _ in range(200):
        (port,) = free_ports(1)
        if port < 65_000 and all(_free(port + offset) for offset in (1, 2)):
            return port
    raise RuntimeError("no three free ports in a row")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
