"""A real worker process, the power it is told of, and messages of every kind for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from kombu import Producer

from edge.broker import topology
from edge.config import BrokerConfig, Config
from edge.core.host import boot_id
from edge.model import Power, PowerState, PowerStatus, Result, WorkerState, WorkerStatus
from edge.power import status as power
from edge.results.store import Results

StartWorker = Callable[..., "RunningWorker"]

#: Longer than anything here takes on a busy machine; only a failing test waits for it.
PATIENCE_S = 40.0

ODD_TASKS = '''
import ctypes, os, signal, sys, time
from pathlib import Path
from edge.worker import task
from edge.worker import Job

@task
def echo(text: str, times: int = 1) -> str:
    """Give the text back."""
    return text * times

@task
def measured(job: Job) -> int:
    """The size of the file that it was given."""
    return job.input("clip").stat().st_size

@task(power="always")
def small(text: str) -> str:
    """Runs on low power too."""
    return text

@task
def boom(text: str) -> None:
    """Raise."""
    raise RuntimeError(text)

@task
def odd_value() -> object:
    """Return what JSON cannot carry."""
    return object()

@task
def large(size: int) -> str:
    """Return much."""
    return "x" * size

@task
def large_file(size: int, job: Job) -> None:
    """Write much."""
    job.file("big.bin").write_bytes(bytes(size))

@task
def full(times: int, job: Job) -> int:
    runs = job.folder / job.id
    with runs.open("a") as file:
        file.write("x")
    if runs.stat().st_size <= times:
        raise OSError(28, "No space left on device")
    return runs.stat().st_size


@task
def leave() -> None:
    """End the process, as scripts do."""
    sys.exit(3)

@task
def die(how: str) -> None:
    """End the process, as crashes do."""
    if how == "exit":
        os._exit(1)
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    os.kill(os.getpid(), signal.SIGKILL)

@task
def nap(seconds: float, job: Job) -> int:
    """Sleep, and say how often this began."""
    begun = job.folder / f"{job.id}.begun"
    with begun.open("a") as file:
        file.write("x")
    time.sleep(seconds)
    return len(begun.read_text())

@task
def steps(count: int, pause: float, job: Job) -> dict[str, int]:
    """Count up with checkpoints; says from where this attempt started."""
    start = job.restored or 0
    for step in range(start, count):
        time.sleep(pause)
        job.progress(step + 1, count)
        job.checkpoint(step + 1)
    return {"from": start, "to": count, "attempt": job.attempt}

@task
def stubborn(seconds: float) -> str:
    """Swallow every exception until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except BaseException:
            pass
    return "no"

@task
def crunch(rounds: int) -> int:
    """Be deep in one C call after the other, the GIL in hand."""
    for _ in range(rounds):
        sum(range(1_000_000))
    return rounds

@task
def family(seconds: float, job: Job) -> int:
    """Wait beside a child that counts; how far it came."""
    import subprocess
    count = job.folder / "count"
    child = subprocess.Popen(["sh", "-c", "while sleep 0.02; do printf x >> count; done"], cwd=job.folder)
    time.sleep(seconds)
    child.kill()
    child.wait()
    return len(count.read_text())

@task
def who(job: Job) -> list[str]:
    """The id as Celery and as the job know it."""
    from celery import current_task
    return [current_task.request.id, job.id, str(job.settings.get("colour"))]

@task
def fork() -> str:
    """Leave a child that comes out of the body as well."""
    os.fork()
    return "one"
'''


def tell_power(config: Config, state: PowerState | str, **changes: Any) -> None:
    """Speak as the governor does; this process is the governor."""
    config.run.mkdir(parents=True, exist_ok=True)
    said = PowerStatus(
        PowerState(state),
        code="test",
        reason=f"the test says {state}",
        boot_id=boot_id(),
        pid=os.getpid(),
        at=time.time(),
        monotonic=time.monotonic(),
    )
    power.write(config.layout.power, msgspec.structs.replace(said, **changes))


def until(ready: Callable[[], Any], what: str | Callable[[], str], *, patience_s: float = PATIENCE_S) -> Any:
    """What `ready()` gives once it is true; fails with `what`, as it is by then, after a deadline."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if got := ready():
            return got
        time.sleep(0.02)
    raise AssertionError(f"not in {patience_s:g} s: {what() if callable(what) else what}")


class RunningWorker:
    """A worker started from `tmp_path/edge.yaml`."""

    def __init__(self, config: Config, env: dict[str, str], argv: list[str], log: Path) -> None:
        self.config = config
        self.results = Results(config.layout)
        self.log = log
        self._env = env
        self._argv = argv
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._argv, env=self._env, cwd=self.log.parent, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    def again(self) -> None:
        """Start another process after this one ended."""
        self.process.wait(PATIENCE_S)
        self.process = self._start()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to stop; the result is its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    @property
    def status(self) -> WorkerStatus | None:
        """Its own word, if it has spoken."""
        with suppress(FileNotFoundError):
            path = self.config.layout.worker(self.config.worker.name)
            return msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
        return None

    def until_state(self, *states: WorkerState) -> WorkerStatus:
        """Its status once it says one of `states`, as this process and not an earlier one."""

        def there() -> WorkerStatus | None:
            status = self.status
            return status if status and status.pid == self.process.pid and status.state in states else None

        return until(there, lambda: f"{states} in {self.status}; log:\n{self.words()}")  # type: ignore[no-any-return]

    def until_running(self, job_id: str) -> WorkerStatus:
        """Its status once it runs `job_id`."""

        def there() -> WorkerStatus | None:
            status = self.status
            return status if status and status.job and status.job.id == job_id else None

        return until(there, lambda: f"{job_id} running in {self.status}; log:\n{self.words()}")  # type: ignore[no-any-return]

    def result(self, job_id: str, *, patience_s: float = PATIENCE_S) -> Result:
        """The result of a job, once it is there."""
        return until(  # type: ignore[no-any-return]
            lambda: self.results.read(job_id),
            lambda: f"a result of {job_id}; log:\n{self.words()}",
            patience_s=patience_s,
        )

    def words(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")[-6000:]


def publish(
    broker: BrokerConfig,
    task: str,
    *args: Any,
    job_id: str | None = None,
    power: Power = Power.NORMAL,
    queue: str | None = None,
    edge: dict[str, Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    body: Any = None,
    embed: dict[str, Any] | None = None,
    **properties: Any,
) -> str:
    """Publish a message as the gateway does, or with any part of it replaced; the result is its id."""
    job_id = str(uuid.uuid4()) if job_id is None else job_id
    if headers is None:
        headers = {"lang": "py", "task": task, "id": job_id, "root_id": job_id, "eta": None, "expires": None}
        if edge is not None:
            headers["edge"] = edge
    if body is None:
        body = json.dumps([list(args), kwargs or {}, embed or {"callbacks": None, "errbacks": None, "chain": None}])
    options = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2} | properties
    with topology.connection(broker, confirm=True, timeout_s=10.0) as link:
        topology.declare(link.default_channel)
        Producer(link.default_channel).publish(
            body,
            exchange="",
            routing_key=queue or topology.queue_name(power),
            headers=headers,
            mandatory=True,
            **options,
        )
    return job_id


def depth(broker: BrokerConfig, power: Power = Power.NORMAL) -> int:
    """Messages ready in a queue."""
    return topology.depths(broker)[topology.queue_name(power)]


@contextmanager
def workers(tmp_path: Path, env: dict[str, str]) -> Iterator[StartWorker]:
    """`start(config)`: a worker that is gone when the test ends."""
    running: list[RunningWorker] = []

    def start(config: Config, *, argv: list[str] | None = None, **changes: str) -> RunningWorker:
        (tmp_path / "odd.py").write_text(ODD_TASKS)
        argv = argv or [sys.executable, "-m", "edge.worker"]
        log = tmp_path / f"worker-{len(running)}.log"
        running.append(RunningWorker(config, env | changes, argv, log))
        return running[-1]

    try:
        yield start
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.wait(PATIENCE_S)
