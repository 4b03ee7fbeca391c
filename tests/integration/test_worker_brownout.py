"""A job that is cut by a power loss soon after each start is given up, and the next jobs run."""

from __future__ import annotations

import shutil

import msgspec
import pytest

from edge.config import BrokerConfig
from edge.model import Begun, FailureCode, PowerState
from edge.results.attempts import AttemptsStore
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, publish, report_power

pytestmark = pytest.mark.broker


def _cut(worker: RunningWorker, job_id: str) -> None:
    """Kill the worker once the job runs, and clear `run` and change the boot id, as a power cut does."""
    worker.until_running(job_id)
    worker.kill()
    shutil.rmtree(worker.config.layout.running)
    worker.config.layout.worker("main").unlink()
    store = AttemptsStore(worker.config.layout)
    if known := store.read(job_id):
        assert known.begun is not None
        store.write(msgspec.structs.replace(known, begun=Begun("the boot before", known.begun.checkpoint)))
    worker.again()


def test_a_job_the_power_does_not_survive_is_given_up(
    make_config: MakeConfig, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """The result says how often the power was lost, and the next job runs."""
    config = make_config(broker=broker, tasks=["odd"], worker={"max_early_cuts": 2})
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    job_id = publish(broker, "nap", 600)
    for _ in range(3):  # nothing was recorded of the first attempt
        _cut(worker, job_id)
    failure = worker.result(job_id).failure
    assert failure is not None
    assert failure.code is FailureCode.BROWN_OUT
    assert failure.message.startswith("the power went 2 times in a row within 60 s of its start")
    assert worker.result(publish(broker, "echo", "next")).value == "next"
    assert AttemptsStore(config.layout).read(job_id) is None
