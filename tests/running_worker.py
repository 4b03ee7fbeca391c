"""Runs a real worker process, writes the governor's status for it, and publishes any kind of message to it."""

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

#: Longer than any step takes on a busy machine; only a failing test waits this long.
PATIENCE_S = 40.0

ODD_TASKS = '''
import ctypes, os, signal, sys, time
from pathlib import Path
from edge.worker import task
from edge.worker import Job

@task
def echo(text: str, times: int = 1) -> str:
    """Return the text."""
    return text * times

@task
def measured(job: Job) -> int:
    """Return the size of the input file."""
    return job.input("clip").stat().st_size

@task(power="always")
def small(text: str) -> str:
    """Return the text; it runs at low power too."""
    return text

@task
def boom(text: str) -> None:
    """Raise."""
    raise RuntimeError(text)

@task
def odd_value() -> object:
    """Return a value that JSON cannot represent."""
    return object()

@task
def large(size: int) -> str:
    """Return a text of `size` characters."""
    return "x" * size

@task
def large_file(size: int, job: Job) -> None:
    """Write a file of `size` bytes."""
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
    """Call `sys.exit`, as scripts do."""
    sys.exit(3)

@task
def die(how: str) -> None:
    """End the process as a crash does."""
    if how == "exit":
        os._exit(1)
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    os.kill(os.getpid(), signal.SIGKILL)

@task
def nap(seconds: float, job: Job) -> int:
    """Sleep, and return how often this body began."""
    begun = job.folder / f"{job.id}.begun"
    with begun.open("a") as file:
        file.write("x")
    time.sleep(seconds)
    return len(begun.read_text())

@task
def steps(count: int, pause: float, job: Job) -> dict[str, int]:
    """Count up with checkpoints, and return from where this attempt started."""
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
    """Run one long C call after another while holding the GIL."""
    for _ in range(rounds):
        sum(range(1_000_000))
    return rounds

@task
def family(seconds: float, job: Job) -> int:
    """Wait while a child process counts, and return how far it came."""
    import subprocess
    count = job.folder / "count"
    child = subprocess.Popen(["sh", "-c", "while sleep 0.02; do printf x >> count; done"], cwd=job.folder)
    time.sleep(seconds)
    child.kill()
    child.wait()
    return len(count.read_text())

@task
def who(job: Job) -> list[str]:
    """Return the id as Celery has it, the id as the job has it, and a setting."""
    from celery import current_task
    return [current_task.request.id, job.id, str(job.settings.get("colour"))]

@task
def fork() -> str:
    """Fork, so that a child process also returns from the body."""
    os.fork()
    return "one"
'''


def report_power(config: Config, state: PowerState | str, **changes: Any) -> None:
    """Write `run/power.json` as the governor does; this process counts as the governor."""
    config.run.mkdir(parents=True, exist_ok=True)
    status = PowerStatus(
        PowerState(state),
        code="test",
        reason=f"the test says {state}",
        boot_id=boot_id(),
        pid=os.getpid(),
        at=time.time(),
        monotonic=time.monotonic(),
    )
    power.write(config.layout.power, msgspec.structs.replace(status, **changes))


def until(ready: Callable[[], Any], what: str | Callable[[], str], *, patience_s: float = PATIENCE_S) -> Any:
    """Poll until `ready()` returns a true value, and return it; after a deadline fail with `what`, evaluated then."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if got := ready():
            return got
        time.sleep(0.02)
    raise AssertionError(f"not in {patience_s:g} s: {what() if callable(what) else what}")


class RunningWorker:
    """A worker process started with `tmp_path/edge.yaml`."""

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
        """Wait until this process ends, and start another one."""
        self.process.wait(PATIENCE_S)
        self.process = self._start()

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to stop by a signal, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    @property
    def status(self) -> WorkerStatus | None:
        """The status that it has written, or None if it has written none yet."""
        with suppress(FileNotFoundError):
            path = self.config.layout.worker(self.config.worker.name)
            return msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
        return None

    def until_state(self, *states: WorkerState) -> WorkerStatus:
        """Wait until this process, not an earlier one, reports one of `states`, and return its status."""

        def there() -> WorkerStatus | None:
            status = self.status
            return status if status and status.pid == self.process.pid and status.state in states else None

        return until(there, lambda: f"{states} in {self.status}; log:\n{self.log_tail()}")  # type: ignore[no-any-return]

    def until_running(self, job_id: str) -> WorkerStatus:
        """Wait until it runs `job_id`, and return its status."""

        def there() -> WorkerStatus | None:
            status = self.status
            return status if status and status.job and status.job.id == job_id else None

        return until(there, lambda: f"{job_id} running in {self.status}; log:\n{self.log_tail()}")  # type: ignore[no-any-return]

    def result(self, job_id: str, *, patience_s: float = PATIENCE_S) -> Result:
        """Wait for the result of a job, and return it."""
        return until(  # type: ignore[no-any-return]
            lambda: self.results.read(job_id),
            lambda: f"a result of {job_id}; log:\n{self.log_tail()}",
            patience_s=patience_s,
        )

    def log_tail(self) -> str:
        """Return the last 6000 characters of the log."""
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
    """Publish a message as the gateway does, or with any part of it replaced; return its id."""
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
    """Return the number of ready messages in the main queue of a power class."""
    return topology.depths(broker)[topology.queue_name(power)]


@contextmanager
def workers(tmp_path: Path, env: dict[str, str]) -> Iterator[StartWorker]:
    """Yield `start(config)`, which starts a worker; all workers are killed when the block ends."""
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
