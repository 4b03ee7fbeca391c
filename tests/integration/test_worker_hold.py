"""If power falls while a job runs, it is finished, held or interrupted, as configured, and its status says why."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, Metering, Power, PowerState, Reading, WorkerState, WorkerStatus
from edge.power.energy import calibration
from edge.results.orders import Order, Orders
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, depth, publish, report_power, until

pytestmark = pytest.mark.broker


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """Short times."""
    return {"worker": {"stop_grace_s": 0.5}, "power": {"critical": {"grace_s": 0.5, "action": "none"}}}


def stepping(
    worker: RunningWorker, broker: BrokerConfig, *, count: int = 40, pause: float = 0.02, **edge: float
) -> str:
    """Start a job, and return its id after a few of its steps."""
    job_id = publish(broker, "steps", count, pause, edge=edge or None)
    until(lambda: (s := worker.status) and s.job and s.job.id == job_id and s.job.progress, "a step")
    return job_id


def held(worker: RunningWorker) -> WorkerStatus:
    """Wait until the worker holds its job, and return its status."""
    status = worker.until_state(WorkerState.HELD)
    assert status.job is not None
    assert status.job.held is not None
    return status


def rests(pid: int) -> bool:
    """Return True if a process uses no CPU for half a second."""
    before = cpu_ticks(pid)
    time.sleep(0.5)
    return cpu_ticks(pid) == before


def cpu_ticks(pid: int) -> int:
    """Return the CPU time that a process has used, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("state", [PowerState.LOW, PowerState.UNKNOWN, PowerState.PAUSED])
def test_a_job_is_held_in_place_and_goes_on(
    worker: RunningWorker, broker: BrokerConfig, odd: Config, state: PowerState
) -> None:
    """At its next step the job stops without CPU use, with saved progress and a reason; later it continues, once."""
    job_id = stepping(worker, broker)
    report_power(odd, state, until="the sun shines")
    status = held(worker)
    assert status.job is not None
    assert status.job.held is not None
    assert status.job.id == job_id
    assert f"power is {state} (the test says {state})" in status.job.held.reason
    assert status.job.held.until == "the sun shines"
    assert json.loads((odd.layout.checkpoints / f"{job_id}.json").read_bytes()) > 0
    until(lambda: rests(worker.process.pid), "half a second without CPU")
    report_power(odd, PowerState.NORMAL)
    result = worker.result(job_id)
    assert result.value == {"from": 0, "to": 40, "attempt": 1}
    assert result.energy is not None
    assert result.energy.held_s >= 0.5
    assert result.seconds == pytest.approx(result.energy.seconds + result.energy.held_s, abs=0.01)
    assert worker.until_state(WorkerState.IDLE).job is None


def test_held_time_does_not_count_for_the_limit(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """A job of 0.8 s with a limit of 1.5 s survives a hold of 2 s; afterwards the limit counts again."""
    job_id = stepping(worker, broker, time_limit_s=1.5)
    report_power(odd, PowerState.LOW)
    held(worker)
    time.sleep(2)  # longer than the limit
    assert held(worker).job
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).state is JobState.SUCCEEDED
    late = stepping(worker, broker, count=10_000, time_limit_s=1.0)
    report_power(odd, PowerState.LOW)
    held(worker)
    report_power(odd, PowerState.NORMAL)
    result = worker.result(late)
    assert result.failure is not None
    assert result.failure.code is FailureCode.TIME_LIMIT
    assert result.energy is not None
    assert result.energy.seconds == pytest.approx(1.0, abs=0.5)


def test_a_held_job_is_cancelled_at_once(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """The cancel ends the hold, and then the worker is paused."""
    job_id = stepping(worker, broker)
    report_power(odd, PowerState.LOW)
    held(worker)
    Orders(odd.layout).give(Order.CANCEL, job_id)
    assert worker.result(job_id, patience_s=5).state is JobState.CANCELLED
    until(lambda: (s := worker.status) and s.job is None and s.queues == ("edge.always", "edge.dead"), "low")


def test_a_stop_takes_a_held_job_home(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """The state is saved, so a stop does not wait; another worker continues when power is back."""
    job_id = stepping(worker, broker)
    report_power(odd, PowerState.LOW)
    held(worker)
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 3
    saved = json.loads((odd.layout.checkpoints / f"{job_id}.json").read_bytes())
    worker.again()
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == {"from": saved, "to": 40, "attempt": 2}


def test_other_queues_close_while_a_job_is_held(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """Messages in hand go back, for another worker with more power."""
    job_id = stepping(worker, broker)
    report_power(odd, PowerState.PAUSED)
    assert held(worker).job
    until(lambda: (s := worker.status) and s.queues == (), "all closed")
    second = publish(broker, "echo", "x", power=Power.ALWAYS)
    assert depth(broker, Power.ALWAYS) == 1
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).attempts == 1
    assert worker.result(second).attempts == 1


def test_the_broker_goes_and_comes_while_a_job_is_held(
    worker: RunningWorker, broker: BrokerConfig, broker_node: PrivateNode, odd: Config
) -> None:
    """The hold survives an outage of the broker, and the redelivered message finds the result."""
    job_id = stepping(worker, broker)
    report_power(odd, PowerState.LOW)
    held(worker)
    broker_node.stop()
    report_power(odd, PowerState.PAUSED)  # so that the held worker checks its connection
    until(lambda: (s := worker.status) and s.job and s.job.held and "paused" in s.job.held.reason, "the new reason")
    broker_node.start()
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == {"from": 0, "to": 40, "attempt": 1}
    worker.until_state(WorkerState.IDLE)
    assert worker.result(publish(broker, "echo", "x")).value == "x"
    until(lambda: depth(broker) == 0, "no message left")
    assert "Traceback" not in worker.log_tail()


def test_a_governor_that_dies_holds_the_job(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """If the status becomes too old, power is unknown and the job is held."""
    job_id = stepping(worker, broker, count=400)
    report_power(odd, PowerState.NORMAL, valid_s=0.2)
    status = held(worker)
    assert status.job is not None
    assert status.job.held is not None
    assert "unknown" in status.job.held.reason
    report_power(odd, PowerState.NORMAL)
    worker.until_state(WorkerState.RUNNING)
    Orders(odd.layout).give(Order.CANCEL, job_id)
    worker.result(job_id)


def test_a_job_that_is_allowed_to_finishes(
    broker: BrokerConfig, make_config: MakeConfig, start_worker: StartWorker
) -> None:
    """With `finish` the running job continues, and no new one starts."""
    config = make_config(broker=broker, tasks=["odd"], worker={"running_job": "finish"})
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    job_id = stepping(worker, broker)
    report_power(config, PowerState.LOW)
    second = publish(broker, "echo", "x")
    result = worker.result(job_id)
    assert result.energy is not None
    assert result.energy.held_s == 0
    until(lambda: (s := worker.status) and s.queues == ("edge.always", "edge.dead"), "the pause")
    assert not worker.results.has(second)


@pytest.mark.parametrize("mode", ["finish", "hold"])
@pytest.mark.parametrize("first", [PowerState.NORMAL, PowerState.LOW])
def test_critical_takes_the_job_home(
    broker: BrokerConfig, make_config: MakeConfig, start_worker: StartWorker, mode: str, first: PowerState
) -> None:
    """At critical the body saves at its next step and the worker exits with 0; later the job continues from there."""
    config = make_config(
        broker=broker,
        tasks=["odd"],
        worker={"running_job": mode},
        power={"critical": {"grace_s": 20, "action": "none"}},
    )
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    job_id = stepping(worker, broker)
    if first is PowerState.LOW and mode == "hold":
        report_power(config, PowerState.LOW)
        held(worker)
    report_power(config, PowerState.CRITICAL)
    began = time.monotonic()
    assert worker.process.wait(20) == 0
    assert time.monotonic() - began < 10
    assert worker.status is not None
    assert worker.status.state is WorkerState.STOPPED
    assert not worker.results.has(job_id)
    worker.again()
    worker.until_state(WorkerState.PAUSED)
    report_power(config, PowerState.NORMAL)
    result = worker.result(job_id)
    assert result.value["from"] > 0
    assert result.attempts == 2


def test_critical_ends_a_job_that_does_not_listen_after_its_grace(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A body that does not respond is interrupted, which does not count as a crash, and runs again."""
    job_id = publish(broker, "nap", 3)
    worker.until_running(job_id)
    report_power(odd, PowerState.CRITICAL)
    began = time.monotonic()
    assert worker.process.wait(20) == 0
    assert 0.4 < time.monotonic() - began < 3
    worker.again()
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == 2
    assert "power is critical" in worker.log_tail()


def test_a_job_that_ends_within_its_grace_has_its_result(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A job that ends within the grace time has its result, and its worker stays."""
    job_id = publish(broker, "nap", 0.3)
    worker.until_running(job_id)
    report_power(odd, PowerState.CRITICAL)
    assert worker.result(job_id).value == 1
    worker.until_state(WorkerState.PAUSED)


def test_power_that_is_back_within_the_grace_lets_the_job_go_on(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """If power is back within the grace time, the job continues undisturbed."""
    job_id = publish(broker, "nap", 2)
    worker.until_running(job_id)
    report_power(odd, PowerState.CRITICAL)
    time.sleep(0.1)  # within the grace of 0.5 s
    report_power(odd, PowerState.NORMAL)
    result = worker.result(job_id)
    assert (result.value, result.attempts) == (1, 1)
    assert worker.process.poll() is None


def test_an_idle_worker_stays_at_critical(worker: RunningWorker, odd: Config, broker: BrokerConfig) -> None:
    """A worker without a job stays at critical, and is ready when power is back."""
    report_power(odd, PowerState.CRITICAL)
    worker.until_state(WorkerState.PAUSED)
    report_power(odd, PowerState.NORMAL)
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_the_receipt_says_what_a_job_took(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """Energy is estimated from CPU time, or measured if there was a shunt; the receipt always says which."""
    result = worker.result(publish(broker, "echo", "x"))
    assert result.energy is not None
    assert result.energy.metering is Metering.ESTIMATED
    assert result.energy.joules == pytest.approx(result.cpu_seconds * calibration.watts(odd)[1], abs=0.001)
    assert (result.energy.max_c, result.energy.throttled) == (None, None)
    job_id = publish(broker, "nap", 3.0)
    worker.until_running(job_id)
    readings = (
        Reading("shunt", "amps", 1.0, "A"),
        Reading("shunt", "watts", 5.0, "W"),
        Reading("ups", "watts", 900.0, "W"),
        Reading("temperature", "temperature", 61.5, "C"),
        Reading("undervoltage", "undervoltage", 1.0),
    )
    report_power(odd, PowerState.NORMAL, readings=readings)
    result = worker.result(job_id)
    assert result.energy is not None
    assert result.energy.metering is Metering.MEASURED
    assert result.energy.joules == pytest.approx(5.0 * result.energy.seconds, rel=0.01)
    assert (result.energy.max_c, result.energy.throttled) == (61.5, True)
