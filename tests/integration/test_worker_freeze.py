"""`running_job: freeze`: the process is stopped wherever it is, and no part gives up on it meanwhile."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from edge.config import BrokerConfig, Config
from edge.model import FrozenJob, JobState, PowerState, WorkerState
from edge.results.orders import Order, Orders
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, publish, report_power, until

pytestmark = pytest.mark.broker


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """A worker that is frozen when power falls."""
    return {"worker": {"running_job": "freeze", "stop_grace_s": 0.5}}


def note(config: Config) -> FrozenJob | None:
    """Return the note of the freezer, or None if there is none."""
    with suppress(FileNotFoundError):
        return msgspec.json.decode(config.layout.frozen("main").read_bytes(), type=FrozenJob)
    return None


def stopped(pid: int) -> bool:
    """Return True if the process is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def freeze(worker: RunningWorker, config: Config, state: PowerState = PowerState.LOW) -> None:
    """Lower the power, and wait for the freezer."""
    report_power(config, state, until="the sun shines")
    until(lambda: stopped(worker.process.pid), lambda: f"a stopped process; log:\n{worker.log_tail()}")
    until(lambda: note(config), "the freezer's note")


def freezer(worker: RunningWorker) -> psutil.Process:
    """Return the freezer process of the worker."""
    return next(c for c in psutil.Process(worker.process.pid).children() if "edge.worker.power.freezer" in c.cmdline())


def test_a_process_is_frozen_deep_in_a_call(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """A body that never asks is stopped at once; the note names the job and the reason; later the body continues."""
    job_id = publish(broker, "crunch", 100, edge={"time_limit_s": 30})
    worker.until_running(job_id)
    freeze(worker, odd)
    freeze_note = note(odd)
    assert freeze_note is not None
    assert (freeze_note.id, freeze_note.pid, freeze_note.held.frozen) == (job_id, worker.process.pid, True)
    assert "power is low (the test says low)" in freeze_note.held.reason
    assert freeze_note.held.until == "the sun shines"
    report_power(odd, PowerState.PAUSED)
    until(lambda: (n := note(odd)) and "paused" in n.held.reason, "the new reason")
    report_power(odd, PowerState.NORMAL)
    result = worker.result(job_id)
    assert (result.value, result.attempts) == (100, 1)
    assert result.energy is not None
    assert result.energy.held_s > 0
    assert note(odd) is None
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_frozen_time_does_not_count_for_the_limit(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """A nap of 3 s with a limit of 4 s survives a freeze of 2 s."""
    job_id = publish(broker, "nap", 3.0, edge={"time_limit_s": 4})
    worker.until_running(job_id)
    freeze(worker, odd)
    time.sleep(2)  # together with the nap longer than the limit
    report_power(odd, PowerState.NORMAL)
    result = worker.result(job_id)
    assert result.state is JobState.SUCCEEDED
    assert result.energy is not None
    assert result.energy.held_s > 2


def test_what_a_job_started_is_frozen_with_it(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """The children of the body are stopped too."""
    publish(broker, "family", 3.0, job_id="f-1")
    count = odd.layout.tasks / "family" / "count"
    until(count.exists, "a child that counts")
    freeze(worker, odd)
    before = count.stat().st_size
    time.sleep(0.3)  # a running child would have counted
    assert count.stat().st_size == before
    report_power(odd, PowerState.NORMAL)
    assert worker.result("f-1").value > before


def test_a_frozen_job_is_cancelled_and_a_frozen_worker_stopped(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    """A cancel and a stop wake it; systemd and `edge up` send SIGCONT after SIGTERM."""
    job_id = publish(broker, "nap", 60)
    worker.until_running(job_id)
    freeze(worker, odd)
    Orders(odd.layout).place(Order.CANCEL, job_id)
    assert worker.result(job_id).state is JobState.CANCELLED
    report_power(odd, PowerState.NORMAL)
    worker.until_running(publish(broker, "nap", 60))
    freeze(worker, odd)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.stop(signal.SIGCONT) == 0
    until(lambda: note(odd) is None, "the note gone with its freezer")


def test_critical_wakes_a_frozen_job_for_its_grace(
    broker: BrokerConfig, make_config: MakeConfig, start_worker: StartWorker
) -> None:
    """At critical it is woken to save its progress; then the worker ends."""
    config = make_config(
        broker=broker,
        tasks=["odd"],
        worker={"running_job": "freeze"},
        power={"critical": {"grace_s": 20, "action": "none"}},
    )
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    job_id = publish(broker, "steps", 60, 0.02)
    worker.until_running(job_id)
    freeze(worker, config)
    report_power(config, PowerState.CRITICAL)
    assert worker.process.wait(20) == 0
    worker.again()
    report_power(config, PowerState.NORMAL)
    assert worker.result(job_id).value["from"] > 0


def test_a_freezer_that_dies_freezes_nobody(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """If the freezer dies, the kernel wakes the worker; its job is held at a step, and the next has a new freezer."""
    job_id = publish(broker, "steps", 60, 0.02, edge={"time_limit_s": 20})
    worker.until_running(job_id)
    freeze(worker, odd)
    freezer(worker).kill()
    until(lambda: not stopped(worker.process.pid), "awake again")
    worker.until_state(WorkerState.HELD)
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == {"from": 0, "to": 60, "attempt": 1}
    worker.until_running(publish(broker, "nap", 60))
    freeze(worker, odd)


def test_a_governor_that_dies_and_comes_back(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """Unknown power freezes like low power, and a new status ends it without polling."""
    job_id = publish(broker, "crunch", 200)
    worker.until_running(job_id)
    report_power(odd, PowerState.NORMAL, valid_s=0.1)
    until(lambda: stopped(worker.process.pid), "a stopped process")
    odd.layout.power.unlink()
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == 200


def test_nothing_is_frozen_between_two_jobs(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    """A worker without a job answers at any power, and its freezer ends with it."""
    worker.result(publish(broker, "echo", "x"))
    beside = freezer(worker)
    report_power(odd, PowerState.LOW)
    until(lambda: (s := worker.status) and s.queues == ("edge.always", "edge.dead"), "low")
    assert not stopped(worker.process.pid)
    worker.kill()
    beside.wait(10)
    with pytest.raises(ProcessLookupError):
        os.kill(beside.pid, 0)
