"""A running job is cancelled, exceeds its time, is stopped with its worker, or ends its worker."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.core.backoff import Backoff
from edge.model import FailureCode, JobState, PowerState, WorkerState
from edge.results.orders import Order, Orders
from tests.conftest import MakeConfig
from tests.running_gateway import StartGateway
from tests.running_worker import PATIENCE_S, RunningWorker, StartWorker, depth, publish, report_power, until

pytestmark = pytest.mark.broker
#: Kombu's loop wakes up at least this often if it has any timer.
POLL_S = 10


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """Short times at a stop, and few crashes allowed."""
    return {"worker": {"stop_grace_s": 0.5, "max_crashes": 2}}


def test_a_running_job_is_cancelled(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """A cancel ends the body at once, wherever it is, and the worker continues."""
    job_id = publish(broker, "nap", 60)
    worker.until_running(job_id)
    began = time.monotonic()
    Orders(odd.layout).place(Order.CANCEL, job_id)
    result = worker.result(job_id)
    assert time.monotonic() - began < 2
    assert result.state is JobState.CANCELLED
    assert result.failure is not None
    assert result.failure.code is FailureCode.CANCELLED
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_a_waiting_job_is_cancelled_while_power_is_low(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A cancel is carried out while nothing is consumed, and the job never runs."""
    report_power(odd, PowerState.CRITICAL)
    worker.until_state(WorkerState.PAUSED)
    job_id = publish(broker, "nap", 0)
    Orders(odd.layout).place(Order.CANCEL, job_id)
    assert worker.result(job_id).state is JobState.CANCELLED
    report_power(odd, PowerState.NORMAL)
    assert worker.result(publish(broker, "echo", "x")).value == "x"
    assert depth(broker) == 0
    assert not list(odd.layout.tasks.rglob("*.begun"))


def test_orders_that_lay_there_before_are_carried_out(
    odd: Config, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """An order given while no worker ran is carried out."""
    job_id = publish(broker, "nap", 0)
    Orders(odd.layout).place(Order.CANCEL, job_id)
    assert start_worker(odd).result(job_id).state is JobState.CANCELLED


def test_a_result_is_removed_and_stays_removed(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """After a removal a late copy of the message does not run the job again."""
    job_id = publish(broker, "echo", "x")
    worker.result(job_id)
    Orders(odd.layout).place(Order.DELETE, job_id)
    until(lambda: worker.results.removed(job_id), "the tombstone")
    publish(broker, "echo", "x", job_id=job_id)
    worker.result(publish(broker, "echo", "y"))
    assert worker.results.read(job_id) is None


def test_a_time_limit_ends_the_body(worker: RunningWorker, broker: BrokerConfig) -> None:
    """The submitter's limit counts, and so does Celery's own header."""
    result = worker.result(publish(broker, "nap", 60, edge={"time_limit_s": 0.3}))
    assert result.failure is not None
    assert result.failure.code is FailureCode.TIME_LIMIT
    assert "0.3 s" in result.failure.message
    assert result.seconds < 3
    headers = {"task": "nap", "id": "by-celery", "timelimit": [0.2, None]}
    publish(broker, "nap", 60, headers=headers)
    failure = worker.result("by-celery").failure
    assert failure is not None
    assert failure.code is FailureCode.TIME_LIMIT


def test_a_body_that_swallows_everything_is_ended_all_the_same(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A body that swallows the exception gets it again and again, and its later return does not count."""
    result = worker.result(publish(broker, "stubborn", 1.5, edge={"time_limit_s": 0.2}))
    assert result.failure is not None
    assert result.failure.code is FailureCode.TIME_LIMIT


def test_a_killed_worker_leaves_a_job_that_goes_on_from_its_checkpoint(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """After a SIGKILL another attempt continues from the saved step, with one result."""
    job_id = publish(broker, "steps", 60, 0.2)
    saved = odd.layout.checkpoints / f"{job_id}.json"
    until(saved.exists, "a checkpoint")
    worker.kill()
    worker.again()
    result = worker.result(job_id)
    assert result.value["from"] > 0
    assert result.value["attempt"] == result.attempts == 2
    until(lambda: not saved.exists(), "the checkpoint gone")
    assert not (odd.layout.attempts / f"{job_id}.json").exists()


@pytest.mark.parametrize("how", ["exit", "segv", "kill"])
def test_a_job_that_kills_its_worker_is_quarantined(
    worker: RunningWorker, broker: BrokerConfig, odd: Config, how: str
) -> None:
    """After max_crashes crashes the job fails with this reason, and other jobs run."""
    job_id = publish(broker, "die", how)
    worker.again()
    attempts = odd.layout.attempts / f"{job_id}.json"
    worker.again()
    assert json.loads(attempts.read_bytes())["ended"][0] == "crash"
    result = worker.result(job_id)
    assert result.failure is not None
    assert result.failure.code is FailureCode.CRASH_LOOP
    assert result.attempts == 3
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_a_job_that_is_killed_for_its_memory_says_so(
    start_worker: StartWorker, broker: BrokerConfig, odd: Config, tmp_path: Path
) -> None:
    """The failure says that the kernel killed the job for its memory; kernel and unit are simulated here."""
    ended = tmp_path / "edge-worker.ended"
    worker = start_worker(odd, EDGE_ENDED=str(ended))
    job_id = publish(broker, "die", "kill")
    for _ in range(2):
        worker.process.wait(PATIENCE_S)
        ended.write_text("oom-kill\n")
        worker.again()
    failure = worker.result(job_id).failure
    assert failure is not None
    assert failure.code is FailureCode.CRASH_LOOP
    assert (
        failure.message == "its worker died 2 times while it ran, 2 of them for want of memory (worker.max_crashes = 2)"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_worker_stops_at_once(worker: RunningWorker, number: int) -> None:
    """An idle worker stops without waiting: exit code 0 and status stopped."""
    began = time.monotonic()
    assert worker.stop(number) == 0
    assert time.monotonic() - began < POLL_S, "it waited for the loop's longest sleep"
    worker.until_state(WorkerState.STOPPED)
    assert "Traceback" not in worker.log_tail()


def test_a_paused_and_a_disconnected_worker_stop_at_once(
    odd: Config, make_config: MakeConfig, start_worker: StartWorker
) -> None:
    """A stop waits neither for power nor for the broker."""
    report_power(odd, PowerState.LOW)
    paused = start_worker(odd)
    until(lambda: paused.status and paused.status.queues == ("edge.always", "edge.dead"), "low power's queues")
    assert paused.stop() == 0
    lost = start_worker(make_config(tasks=["odd"]))
    until(lambda: "no broker at" in lost.log_tail(), "a try to connect")
    until(lambda: "trying again in 4 s" in lost.log_tail(), "a long wait")
    began = time.monotonic()
    assert lost.stop() == 0
    assert time.monotonic() - began < 4, "it waited for its next try to connect"


def test_a_stop_lets_a_short_body_end(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A body that ends within the grace time has its result."""
    job_id = publish(broker, "nap", 0.4)
    worker.until_running(job_id)
    assert worker.stop() == 0
    result = worker.results.read(job_id)
    assert result is not None
    assert (result.value, result.attempts) == (1, 1)


def test_a_stop_interrupts_a_long_body_which_runs_again(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A long body is interrupted without result or crash, and the next worker runs it again."""
    job_id = publish(broker, "nap", 3)
    worker.until_running(job_id)
    assert worker.stop() == 0
    assert not worker.results.has(job_id), "it waited for the body"
    worker.again()
    result = worker.result(job_id)
    assert (result.value, result.attempts) == (2, 2)


def test_a_stop_is_taken_at_a_checkpoint_which_is_saved(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A job with checkpoints loses nothing at a clean stop."""
    job_id = publish(broker, "steps", 40, 0.1)
    until(lambda: (s := worker.status) and s.job and s.job.progress and s.job.progress.done > 3, "some progress")
    assert worker.stop() == 0
    saved = json.loads((odd.layout.checkpoints / f"{job_id}.json").read_bytes())
    assert saved > 3
    worker.again()
    assert worker.result(job_id).value["from"] == saved


def test_a_disk_that_takes_no_result_holds_the_job(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """If the disk refuses the result, nothing is acknowledged and the status says why; later the result is written."""
    worker.until_state(WorkerState.IDLE)  # then it has made its folders
    shard = odd.layout.results / "ab"
    shard.rmdir()
    shard.write_text("a file where a folder must be")
    publish(broker, "echo", "kept", job_id="ab-1")
    until(lambda: (s := worker.status) and "cannot write" in s.reason, "the reason")
    shard.unlink()
    assert worker.result("ab-1").value == "kept"
    until(lambda: (s := worker.status) and s.reason == "", "no reason")
    assert depth(broker) == 0


def test_a_worker_killed_while_the_disk_takes_no_result_loses_no_job(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """The broker still has the message of a body that has ended, and delivers it again."""
    staging, aside = odd.layout.staging, odd.layout.staging.with_name("aside")
    staging.rename(aside)
    staging.write_text("a file where a folder must be")
    job_id = publish(broker, "nap", 0)
    until(lambda: (s := worker.status) and "cannot write" in s.reason, "the reason")
    worker.kill()
    staging.unlink()
    aside.rename(staging)
    worker.again()
    assert worker.result(job_id).value == 2


def test_a_worker_killed_while_the_disk_takes_no_failure_loses_no_retry(
    broker: BrokerConfig,
    make_config: MakeConfig,
    start_gateway: StartGateway,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A failed body without a durable record gets its message again, and then its retry."""
    monkeypatch.setattr("edge.gateway.background.outbox.RETRY", Backoff(first_s=0.1, most_s=0.1))
    config = make_config(broker=broker, tasks=["failing"])
    (tmp_path / "failing.py").write_text(
        'from edge.worker import task\n\n@task\ndef nothing() -> None:\n    """Fail."""\n    raise RuntimeError("no")\n'
    )
    report_power(config, PowerState.PAUSED)
    gateway, worker = start_gateway(config), start_worker(config)
    worker.until_state(WorkerState.PAUSED)
    job_id = gateway.ask("POST", "/jobs", {"task": "nothing", "retries": 1}).json["id"]
    refused = config.layout.attempts / f".{job_id}.json.{worker.process.pid}.tmp"
    refused.mkdir(parents=True)  # a record can be looked for but not written
    report_power(config, PowerState.NORMAL)
    until(lambda: (s := worker.status) and "cannot write" in s.reason, "the reason")
    worker.kill()
    refused.rmdir()
    worker.again()
    result = worker.result(job_id)
    assert (result.state, result.attempts) == (JobState.FAILED, 3)


def test_a_person_adds_a_kind_of_job_in_one_file(
    broker: BrokerConfig, make_config: MakeConfig, start_worker: StartWorker, tmp_path: Path
) -> None:
    """One function with type hints in a file next to edge.yaml is a kind of job, once its module is listed."""
    config = make_config(broker=broker, tasks=["doubling", "broken"])
    (tmp_path / "doubling.py").write_text(
        "from edge.worker import task\n\n@task\ndef double(number: int) -> int:\n"
        '    """Give twice the number."""\n    return 2 * number\n'
    )
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    assert worker.result(publish(broker, "double", 21)).value == 42
    assert "module broken" in worker.log_tail()
