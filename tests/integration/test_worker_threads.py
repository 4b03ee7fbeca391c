"""A worker of threads runs many bodies at once, and the end of one does not affect others."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge.broker.topology import queue_name
from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, Metering, Pool, Power, PowerState, Result, RunningJob, WorkerState
from edge.results.orders import Order, Orders
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.running_gateway import StartGateway
from tests.running_worker import PATIENCE_S, RunningWorker, StartWorker, publish, report_power, until

pytestmark = pytest.mark.broker

QUEUE = queue_name(Power.NORMAL, pool=Pool.IO)
KINDS = '''
import logging, os, sys, threading, time
from edge.worker import Job, task

def begun(job):
    with (job.folder / f"{job.id}.begun").open("a") as file:
        file.write("x")

@task(pool="io")
def wait(seconds: float, job: Job) -> int:
    """Wait as for a network, asking at times; how often this began."""
    begun(job)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        job.check()
    return (job.folder / f"{job.id}.begun").stat().st_size

@task(pool="io")
def meet(name: str, count: int, job: Job) -> int:
    """End once so many of these run at the same time."""
    (job.folder / f"{name}.{job.id}").touch()
    while len(list(job.folder.glob(f"{name}.*"))) < count:
        time.sleep(0.02)
        job.check()
    return threading.active_count()

@task(pool="io")
def steps(count: int, pause: float, job: Job) -> dict[str, int]:
    """Count up with checkpoints; says from where this attempt started."""
    begun(job)
    start = job.restored or 0
    for step in range(start, count):
        time.sleep(pause)
        job.progress(step + 1, count)
        job.checkpoint(step + 1)
    return {"from": start, "to": count, "attempt": job.attempt}

@task(pool="io")
def spin() -> None:
    """Loop forever in Python code."""
    while True:
        pass

@task(pool="io")
def deaf(seconds: float, job: Job) -> None:
    """Be in one C call."""
    begun(job)
    time.sleep(seconds)

@task(pool="io")
def stubborn(seconds: float) -> str:
    """Swallow every exception until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.02)
        except BaseException:
            pass
    return "no"

@task(pool="io", retries=0)
def boom(text: str) -> None:
    raise RuntimeError(text)

@task(pool="io")
def leave() -> None:
    sys.exit(3)

@task(pool="io")
def die(job: Job) -> None:
    """End the process, as crashes do, once other bodies run too."""
    begun(job)
    time.sleep(0.5)
    os._exit(1)

@task(pool="io")
def burn(seconds: float) -> None:
    """Use CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))

@task(pool="io")
def leaves_file(text: str, job: Job) -> None:
    job.file("a.txt").write_text(text)
    logging.getLogger("mine").warning("from %s", text)

@task(pool="io")
def who(job: Job) -> list[str]:
    """The id as Celery and as the job know it."""
    from celery import current_task
    time.sleep(0.2)
    return [current_task.request.id, job.id]
'''


@pytest.fixture
def threads_settings() -> dict[str, Any]:
    """Sections that differ; a test may override this by its parameters."""
    return {}


@pytest.fixture
def io(tmp_path: Path, broker: BrokerConfig, make_config: MakeConfig, threads_settings: dict[str, Any]) -> Config:
    """A configuration whose worker `io` runs bodies in threads."""
    (tmp_path / "io_kinds.py").write_text(KINDS)
    config = make_config(
        broker=broker,
        tasks=["io_kinds"],
        worker={"name": "io", "stop_grace_s": 1.0, "max_crashes": 2} | threads_settings.get("worker", {}),
        workers=[{"name": "main"}, {"name": "io", "pool": "threads"} | threads_settings.get("entry", {})],
        power={"critical": {"grace_s": 1.0, "action": "none"}},
    )
    report_power(config, PowerState.NORMAL)
    return config


@pytest.fixture
def threads(io: Config, start_worker: StartWorker) -> RunningWorker:
    """A ready worker of threads."""
    worker = start_worker(io)
    worker.until_state(WorkerState.IDLE)
    return worker


def put(broker: BrokerConfig, task: str, *args: Any, **edge: Any) -> str:
    """Publish a job of the pool io, and return its id."""
    return publish(broker, task, *args, queue=QUEUE, edge=edge or None)


def jobs(worker: RunningWorker) -> dict[str, RunningJob]:
    """Return the jobs that the worker reports as running, by id."""
    status = worker.status
    return {job.id: job for job in status.jobs} if status is not None else {}


def until_runs(worker: RunningWorker, *ids: str) -> dict[str, RunningJob]:
    """Wait until the worker runs these jobs, and return all that it runs."""
    until(lambda: set(ids) <= set(jobs(worker)), lambda: f"{ids} in {jobs(worker)}; log:\n{worker.log_tail()}")
    return jobs(worker)


def code(result: Result) -> FailureCode | None:
    """Return why a job failed."""
    return result.failure.code if result.failure is not None else None


def test_32_bodies_run_at_once(threads: RunningWorker, broker: BrokerConfig) -> None:
    """All 32 bodies run before any ends; then all have results, and no message is left."""
    ids = [put(broker, "meet", "all", 32) for _ in range(32)]
    for job_id in ids:
        assert threads.result(job_id).state is JobState.SUCCEEDED
    status = threads.until_state(WorkerState.IDLE)
    assert (status.job, status.jobs) == (None, ())


def test_one_of_many_is_cancelled(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """The cancelled body ends at once, and the others continue."""
    ids = [put(broker, "wait", 2.0) for _ in range(5)]
    until_runs(threads, *ids)
    Orders(io.layout).give(Order.CANCEL, ids[2])
    assert threads.result(ids[2]).state is JobState.CANCELLED
    for job_id in (*ids[:2], *ids[3:]):
        assert threads.result(job_id).value == 1


def test_a_time_limit_ends_one_body(threads: RunningWorker, broker: BrokerConfig) -> None:
    """Each body has its own time limit."""
    other, late = put(broker, "wait", 1.0), put(broker, "wait", 60.0, time_limit_s=0.3)
    result = threads.result(late)
    assert code(result) is FailureCode.TIME_LIMIT
    assert result.seconds < 3
    assert threads.result(other).value == 1


def test_a_body_that_never_asks_is_ended_where_it_is(threads: RunningWorker, broker: BrokerConfig) -> None:
    """An endless loop of Python code is interrupted, and the other bodies have their results."""
    others = [put(broker, "wait", 1.0) for _ in range(3)]
    result = threads.result(put(broker, "spin", time_limit_s=0.3))
    assert code(result) is FailureCode.TIME_LIMIT
    assert result.failure is not None
    assert "would not end" not in result.failure.message
    for job_id in others:
        assert threads.result(job_id).value == 1
    assert threads.stop() == 0


def test_a_body_in_a_c_call_is_let_go(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """The job of a body in a C call ends without it, others continue, and a stop of the worker does not wait."""
    deaf = put(broker, "deaf", 300.0)
    until_runs(threads, deaf)
    Orders(io.layout).give(Order.CANCEL, deaf)
    result = threads.result(deaf)
    assert result.state is JobState.CANCELLED
    assert result.failure is not None
    assert "would not end" in result.failure.message
    assert threads.result(put(broker, "wait", 0.1)).value == 1
    began = time.monotonic()
    assert threads.stop() == 0
    assert time.monotonic() - began < 5
    assert threads.results.read(deaf) == result


@pytest.mark.parametrize("threads_settings", [{"entry": {"concurrency": 3}}])
def test_a_worker_that_lost_too_many_threads_starts_anew(
    threads: RunningWorker, broker: BrokerConfig, threads_settings: dict[str, Any]
) -> None:
    """The last running body ends before the restart, and no job is lost."""
    lost = [put(broker, "stubborn", 300.0, time_limit_s=0.3) for _ in range(2)]
    well = put(broker, "wait", 8.0)
    until_runs(threads, *lost, well)
    later = put(broker, "wait", 0.0)
    for job_id in lost:
        assert code(threads.result(job_id)) is FailureCode.TIME_LIMIT
    assert threads.result(well).value == 1
    assert threads.process.wait(PATIENCE_S) == os.EX_TEMPFAIL
    assert "its supervisor starts it again" in threads.log_tail()
    assert not threads.results.has(later)
    threads.again()
    assert threads.result(later).value == 1


def test_a_pause_holds_all_and_gives_back_what_waits(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """Each body stops at its next step and continues there; no new one starts meanwhile."""
    ids = [put(broker, "steps", 30, 0.02) for _ in range(8)]
    until_runs(threads, *ids)
    report_power(io, PowerState.PAUSED, until="the sun shines")
    status = threads.until_state(WorkerState.HELD)
    assert status.queues == ()
    assert all(job.held is not None and job.held.until == "the sun shines" for job in status.jobs)
    late = put(broker, "wait", 0.0)
    report_power(io, PowerState.NORMAL)
    for job_id in ids:
        result = threads.result(job_id)
        assert result.value == {"from": 0, "to": 30, "attempt": 1}
        assert result.energy is not None
        assert result.energy.held_s > 0
    assert threads.result(late).value == 1


def test_critical_takes_all_home(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """Bodies with checkpoints save and leave, one that does not respond gets its grace time; all run again later."""
    ids = [put(broker, "steps", 100, 0.05) for _ in range(3)]
    deaf = put(broker, "deaf", 4.0)
    until(lambda: all((io.layout.tasks / "steps" / f"{each}.begun").exists() for each in ids), "steps")
    until_runs(threads, *ids, deaf)
    report_power(io, PowerState.CRITICAL)
    assert threads.process.wait(20) == 0
    threads.again()
    report_power(io, PowerState.NORMAL)
    for job_id in ids:
        assert threads.result(job_id).value["from"] > 0
    assert threads.result(deaf).state is JobState.SUCCEEDED


def test_a_stop_takes_all_home(threads: RunningWorker, broker: BrokerConfig) -> None:
    """After SIGTERM bodies that end within the grace have results; the others run again from their checkpoints."""
    short, long = put(broker, "wait", 0.5), put(broker, "wait", 30.0)
    ids = [put(broker, "steps", 100, 0.05) for _ in range(3)]
    until_runs(threads, short, long, *ids)
    began = time.monotonic()
    assert threads.stop() == 0
    assert time.monotonic() - began < 8
    assert threads.results.has(short)
    assert not threads.results.has(long)
    threads.again()
    for job_id in ids:
        assert threads.result(job_id).value["from"] > 0
    until_runs(threads, long)


def test_a_killed_worker_runs_all_again_once(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """After SIGKILL each job has one result, of its second attempt, and no job is blamed for the crash."""
    ids = [put(broker, "wait", 1.0) for _ in range(16)]
    until_runs(threads, *ids)
    threads.kill()
    threads.again()
    for job_id in ids:
        result = threads.result(job_id)
        assert (result.state, result.value, result.attempts) == (JobState.SUCCEEDED, 2, 2)
    until(lambda: not list((io.layout.root / "attempts").glob("*.json")), "no record left")


def test_a_crasher_is_found_and_the_innocent_have_their_results(
    threads: RunningWorker, broker: BrokerConfig, io: Config
) -> None:
    """Suspects run with fewer and fewer others, until the job that crashes the worker is alone and given up."""
    ids = [put(broker, "wait", 1.0) for _ in range(7)]
    until_runs(threads, *ids)
    crasher = put(broker, "die")
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not threads.results.has(crasher):
        assert time.monotonic() < deadline, threads.log_tail()
        if threads.process.poll() is not None:
            threads.again()
        time.sleep(0.05)
    assert code(threads.result(crasher)) is FailureCode.CRASH_LOOP
    for job_id in ids:
        assert threads.result(job_id).state is JobState.SUCCEEDED
    assert threads.result(put(broker, "wait", 0.0)).value == 1


def test_exceptions_and_exits_end_their_own_job(threads: RunningWorker, broker: BrokerConfig) -> None:
    """An exception or exit ends only its own job."""
    other, boom, leave = put(broker, "wait", 1.0), put(broker, "boom", "oh"), put(broker, "leave")
    assert code(threads.result(boom)) is FailureCode.EXCEPTION
    assert code(threads.result(leave)) is FailureCode.EXIT
    assert threads.result(other).value == 1


def test_a_body_is_tried_again(threads: RunningWorker, broker: BrokerConfig, io: Config) -> None:
    """A failure with retries left is recorded, and its message is acknowledged."""
    job_id = put(broker, "boom", "oh", retries=1)
    record = io.layout.attempts / f"{job_id}.json"
    until(record.exists, "a record")
    assert json.loads(record.read_bytes())["failures"] == 1
    publish(broker, "boom", "oh", job_id=job_id, queue=QUEUE, edge={"retries": 1, "failures": 1})
    assert code(threads.result(job_id)) is FailureCode.EXCEPTION


def test_artifacts_receipts_and_the_celery_context_are_each_bodys_own(
    threads: RunningWorker, broker: BrokerConfig
) -> None:
    """Files, CPU time, current task and the name in the log belong to each body."""
    burn, idle = put(broker, "burn", 0.3), put(broker, "wait", 0.5)
    files = [put(broker, "leaves_file", str(number)) for number in range(4)]
    whos = [put(broker, "who") for _ in range(4)]
    for number, job_id in enumerate(files):
        result = threads.result(job_id)
        assert [artifact.name for artifact in result.files] == ["a.txt"]
        assert threads.results.artifact(result, "a.txt").read_text() == str(number)
        assert f"job {job_id}] from {number}" in threads.log.read_text()
    for job_id in whos:
        assert threads.result(job_id).value == [job_id, job_id]
    assert 0.3 <= threads.result(burn).cpu_seconds < 0.6
    receipt = threads.result(idle)
    assert receipt.cpu_seconds < 0.2
    assert receipt.energy is not None
    assert receipt.energy.metering is Metering.ESTIMATED


def test_bodies_outlive_their_connection(
    threads: RunningWorker, broker: BrokerConfig, broker_node: PrivateNode, io: Config
) -> None:
    """Bodies that end during an outage have results; one that continues gets its message again, once."""
    short, late, long = put(broker, "wait", 2.0), put(broker, "wait", 60.0, time_limit_s=3.0), put(broker, "wait", 9.0)
    until_runs(threads, short, late, long)
    broker_node.stop()
    assert threads.result(short).value == 1
    assert code(threads.result(late)) is FailureCode.TIME_LIMIT
    broker_node.start()
    assert threads.result(long).value == 1
    threads.until_state(WorkerState.IDLE)
    assert threads.result(put(broker, "wait", 0.0)).value == 1
    assert "Traceback" not in threads.log_tail()
    assert {path.stat().st_size for path in (io.layout.tasks / "wait").glob("*.begun")} == {1}


def test_a_stop_does_not_wait_for_the_broker(
    threads: RunningWorker, broker: BrokerConfig, broker_node: PrivateNode
) -> None:
    """A stop does not wait for the broker, with bodies and without a connection."""
    job_id = put(broker, "wait", 60.0)
    until_runs(threads, job_id)
    broker_node.stop()
    threads.until_state(WorkerState.DISCONNECTED)
    assert threads.stop() == 0


def test_an_idle_worker_sleeps(threads: RunningWorker, broker: BrokerConfig) -> None:
    """There are no wake-ups, because threads of ended bodies are gone."""
    assert threads.result(put(broker, "wait", 0.0)).value == 1
    count = Path(f"/proc/{threads.process.pid}/task")
    until(lambda: len(list(count.iterdir())) <= 2, lambda: f"threads: {len(list(count.iterdir()))}")
    before = _switches(threads.process.pid)
    time.sleep(1.5)
    assert _switches(threads.process.pid) == before
    threads.process.send_signal(signal.SIGTERM)


def _switches(pid: int) -> int:
    """Return how often all threads of the process woke up."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return total


def test_the_gateway_shows_each_running_job(
    threads: RunningWorker, broker: BrokerConfig, io: Config, start_gateway: StartGateway
) -> None:
    """`/v1/status` lists the jobs, and `/v1/jobs/ID` has the progress of each."""
    gateway = start_gateway(io)
    ids = [gateway.submit("echo", str(number)) for number in range(2)]
    for job_id in ids:
        publish(broker, "steps", 1000, 0.05, job_id=job_id, queue=QUEUE)
    until_runs(threads, *ids)
    for job_id in ids:
        view = gateway.becomes(job_id, "running")
        assert view["worker"] == "io"
    paths = [f"/jobs/{job_id}" for job_id in ids]
    until(lambda: all(gateway.ask("GET", path).json.get("progress") for path in paths), "progress of each")
    (worker,) = gateway.ask("GET", "/status").json["workers"]
    assert {job["id"] for job in worker["jobs"]} == set(ids)
    assert (worker["job"], worker["slots"]) == (None, 100)
    assert threads.stop() == 0
