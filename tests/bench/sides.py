"""The two sides of the comparison, each started for real: the appliance, and a plain Celery worker on its broker."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3
import yaml
from celery import Celery

from edge.client import Client
from edge.config import Config, load
from edge.core.errors import EdgeError
from edge.model import Submission
from edge.results.store import Results
from edge.up.broker.ports import free_ports
from tests.bench import meters

_READY_S = 120.0
_TMPFS = Path("/dev/shm")


def wait_for(what: Callable[[], bool], *, seconds: float, why: str, every_s: float = 0.002) -> None:
    """Return when `what()`; raise TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{why}: not in {seconds:g} s")
        time.sleep(every_s)


class Appliance:
    """`edge up` on a root of its own; `parts` are the process ids of its services.

    `run` is a tmpfs where the machine has one for everyone, as `/run/edge` is on a board.
    """

    def __init__(self, root: Path, *, power: dict[str, Any] | None = None) -> None:
        gateway, broker = free_ports(1)[0], _three_in_a_row()
        root.mkdir(parents=True)
        tree: dict[str, Any] = {
            "root": ".",
            "run": tempfile.mkdtemp(prefix="edge-run-", dir=_TMPFS if _TMPFS.is_dir() else root),
            "tasks": ["tests.bench.echo", "tasks.solve"],
            "broker": {"port": broker, "password_file": "broker/password"},
            "gateway": {"port": gateway, "loopback_without_token": True, "max_batch_jobs": 100_000},
            "power": power or {},
        }
        (root / "edge.yaml").write_text(yaml.safe_dump(tree))
        self.config: Config = load(root / "edge.yaml", env={}).config
        self.root = root
        self.log = (root / "up.log").open("wb")
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("edge"), "up", "--root", root], stdout=self.log, stderr=subprocess.STDOUT
        )
        self.client = Client(f"http://127.0.0.1:{gateway}")
        wait_for(self._ready, seconds=_READY_S, why=f"the appliance (see {root}/up.log)")
        self.parts = self._parts()

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.config.run, ignore_errors=True)

    def stop_worker(self) -> None:
        """Keep the worker from taking jobs: it is stopped where it stands."""
        os.kill(self.parts["worker"], signal.SIGSTOP)

    def resume_worker(self) -> None:
        """Let it go on."""
        os.kill(self.parts["worker"], signal.SIGCONT)

    def cost(self) -> meters.Cost:
        """All processes of the appliance, the broker too."""
        return meters.cost([self.process.pid])

    def singles(self, count: int, latencies: list[float] | None = None) -> str:
        """Submit one by one over one connection; the id of the last."""
        job_id = ""
        for number in range(count):
            began = time.perf_counter()
            job_id = self.client.submit("echo", number, "hello").id
            if latencies is not None:
                latencies.append(time.perf_counter() - began)
        return job_id

    def batch(self, count: int) -> str:
        """Submit all at once; the id of the last."""
        jobs = self.client.submit_many(Submission("echo", [number, "hello"]) for number in range(count))
        return jobs[-1].id

    def looks(self, path: str, count: int) -> list[float]:
        """Seconds of each GET of `path` below /v1."""
        latencies = []
        with urllib3.PoolManager(retries=False) as pool:
            for _ in range(count):
                began = time.perf_counter()
                answer = pool.request("GET", f"http://127.0.0.1:{self.config.gateway.port}/v1/{path}")
                latencies.append(time.perf_counter() - began)
                assert answer.status == 200, answer.data
        return latencies

    def await_handed_over(self) -> None:
        """Return when the broker has confirmed every job that was taken in."""

        def handed_over() -> bool:
            return not self.client.status().jobs.get("accepted")

        wait_for(handed_over, seconds=600, why="the broker's word on all jobs", every_s=0.5)

    def await_result(self, job_id: str) -> None:
        """Return when the result file of the last job is there."""
        path = Results(self.config.layout).path(job_id)
        wait_for(path.exists, seconds=600, why=f"result of {job_id}")

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"edge up ended with {self.process.returncode}: {(self.root / 'up.log').read_text()}")
        try:
            status = self.client.status()
        except EdgeError:
            return False
        return status.tasks > 0 and any(worker.queues for worker in status.workers)

    def _parts(self) -> dict[str, int]:
        names = {"edge.gateway": "gateway", "edge.worker": "worker", "edge.power": "governor", "beam.smp": "broker"}
        found = {}
        for process in meters.family(self.process.pid):
            line = " ".join(process.cmdline())
            found.update({name: process.pid for mark, name in names.items() if mark in line})
        assert set(found) == set(names.values()), found
        return found


class Plain:
    """A plain Celery worker on the appliance's broker; its files lie in `results`."""

    def __init__(self, results: Path, appliance: Appliance) -> None:
        broker = appliance.config.broker
        url = f"amqp://{quote(broker.user)}:{quote(broker.password())}@{broker.host}:{broker.port}//"
        results.mkdir(parents=True)
        self.results = results
        self.broker = appliance.parts["broker"]
        self.app = Celery("plain", broker=url)
        env = os.environ | {"BENCH_BROKER": url, "BENCH_RESULTS": str(results)}
        self.log = (results.parent / "plain.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.plain"], env=env, stdout=self.log, stderr=subprocess.STDOUT
        )
        self.sent = 0
        self.await_all(self.send(1))

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        self.app.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()

    def cost(self) -> meters.Cost:
        """The worker with its children, and the broker."""
        return meters.cost([self.process.pid, self.broker])

    def send(self, count: int, latencies: list[float] | None = None) -> range:
        """Send one by one, as `delay` does; the numbers of the files to come."""
        numbers = range(self.sent, self.sent + count)
        for number in numbers:
            began = time.perf_counter()
            self.app.send_task("plain.echo", (number, "hello"), ignore_result=True)
            if latencies is not None:
                latencies.append(time.perf_counter() - began)
        self.sent += count
        return numbers

    def await_all(self, numbers: range) -> None:
        """Return when every file of `numbers` is there; the last ones are looked for first."""
        for number in reversed(numbers):
            path = self.results / f"{number}-response.txt"
            wait_for(path.exists, seconds=600, why=str(path))


@contextmanager
def both(folder: Path) -> Iterator[tuple[Appliance, Plain]]:
    """Both sides, started; ended on the way out."""
    appliance = Appliance(folder / "appliance")
    try:
        plain = Plain(folder / "plain", appliance)
        try:
            yield appliance, plain
        finally:
            plain.stop()
    finally:
        appliance.stop()


def _three_in_a_row() -> int:
    """A port that is free together with the two after it, as the broker of `edge up` takes them."""
    for _ in range(200):
        (port,) = free_ports(1)
        if port < 65_000 and all(_free(port + offset) for offset in (1, 2)):
            return port
    raise RuntimeError("no three free ports in a row")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
