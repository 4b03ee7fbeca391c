"""If broker and power come and go, the worker follows by itself, and no job is lost or runs twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from edge.config import BrokerConfig, Config
from edge.model import Power, PowerState, WorkerState
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.integration.test_outbox import VHOST_DOWN, ctl
from tests.running_worker import RunningWorker, StartWorker, depth, publish, report_power, until

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("how", ["stopped", "replaced"])
def test_the_broker_goes_and_comes_while_the_worker_is_idle(
    worker: RunningWorker, broker: BrokerConfig, broker_node: PrivateNode, how: str
) -> None:
    """The worker reconnects by itself within seconds, to the same store or to an empty one."""
    if how == "stopped":
        broker_node.stop()
    else:
        broker_node.kill()
        shutil.rmtree(broker_node.store)
    worker.until_state(WorkerState.DISCONNECTED)
    broker_node.start()
    back = time.monotonic()
    worker.until_state(WorkerState.IDLE)
    assert time.monotonic() - back < 10
    assert worker.result(publish(broker, "echo", "x")).value == "x"
    assert "Traceback" not in worker.log_tail()


def test_the_broker_goes_and_comes_while_a_job_runs(
    worker: RunningWorker, broker: BrokerConfig, broker_node: PrivateNode
) -> None:
    """The body continues, once; the redelivered message finds its result."""
    job_id = publish(broker, "nap", 8)
    worker.until_running(job_id)
    broker_node.stop()
    broker_node.start()
    result = worker.result(job_id)
    assert (result.value, result.attempts) == (1, 1)
    worker.until_state(WorkerState.IDLE)
    assert worker.result(publish(broker, "echo", "x")).value == "x"
    until(lambda: depth(broker) == 0, "no message left")
    assert worker.results.read(job_id) == result


def test_the_broker_goes_and_comes_while_paused(
    worker: RunningWorker, odd: Config, broker: BrokerConfig, broker_node: PrivateNode
) -> None:
    """A new connection opens no queue that power does not allow."""
    report_power(odd, PowerState.CRITICAL)
    worker.until_state(WorkerState.PAUSED)
    broker_node.stop()
    worker.until_state(WorkerState.DISCONNECTED)
    broker_node.start()
    worker.until_state(WorkerState.PAUSED)
    job_id = publish(broker, "echo", "x")
    assert depth(broker) == 1
    report_power(odd, PowerState.NORMAL)
    assert worker.result(job_id).value == "x"


def test_a_worker_starts_before_its_broker(
    odd: Config, broker: BrokerConfig, broker_node: PrivateNode, start_worker: StartWorker
) -> None:
    """The worker waits for the broker, and declares the queues itself."""
    broker_node.stop()
    worker = start_worker(odd)
    worker.until_state(WorkerState.DISCONNECTED)
    broker_node.start()
    worker.until_state(WorkerState.IDLE)
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_a_broker_that_lets_nobody_in_has_to_be_started_again(
    worker: RunningWorker, odd: Config, broker_node: PrivateNode
) -> None:
    """The worker reports a broker whose virtual host is down; waiting does not help."""
    ctl(broker_node, "eval", VHOST_DOWN)
    try:
        until(lambda: any(odd.layout.complaints.glob("worker-*")), worker.log_tail)
    finally:
        broker_node.stop()  # so that the next test gets a new store


@contextmanager
def frozen(node: PrivateNode) -> Iterator[None]:
    """Stop all processes of the broker inside the block: its connections stay open, and it answers nothing."""
    first = psutil.Process(node.pid)
    pids = [first.pid, *(child.pid for child in first.children(recursive=True))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("pool", ["main", "threads"])
def test_a_worker_stops_although_its_broker_does_not_answer(
    make_config: MakeConfig, start_worker: StartWorker, broker: BrokerConfig, broker_node: PrivateNode, pool: str
) -> None:
    """systemd kills a worker that needs longer than 60 s; it stops cleanly, and its jobs come again."""
    config = make_config(
        broker=broker,
        tasks=["odd"],
        worker={"name": "one", "stop_grace_s": 1.0},
        workers=[{"name": "main"}, {"name": "one", "pool": pool}],
    )
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    worker.until_state(WorkerState.IDLE)
    with frozen(broker_node):
        began = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began < 30
    assert "Traceback" not in worker.log_tail()


def test_without_a_governor_nothing_runs(
    make_config: MakeConfig, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """A worker without a governor is paused and says so, because unknown is not good."""
    config = make_config(broker=broker, tasks=["odd"])
    job_id = publish(broker, "echo", "x")
    worker = start_worker(config)
    status = worker.until_state(WorkerState.PAUSED)
    assert (status.queues, status.power) == ((), PowerState.UNKNOWN)
    report_power(config, PowerState.NORMAL)
    assert worker.result(job_id).value == "x"


@pytest.mark.parametrize("state", [PowerState.LOW, PowerState.CRITICAL, PowerState.UNKNOWN])
def test_low_power_within_a_job_lets_nothing_more_in(
    worker: RunningWorker, odd: Config, broker: BrokerConfig, state: PowerState
) -> None:
    """The running job ends, and the next message is still in its queue when the worker reports low power."""
    first = publish(broker, "nap", 1)
    worker.until_running(first)
    second = publish(broker, "echo", "x")
    report_power(odd, state)
    assert worker.result(first).value == 1
    allowed = ("edge.always", "edge.dead") if state is PowerState.LOW else ()
    until(lambda: (s := worker.status) and s.job is None and s.queues == allowed, "the pause confirmed")
    assert depth(broker) == 1
    assert not worker.results.has(second)
    report_power(odd, PowerState.SURPLUS)
    assert worker.result(second).value == "x"


def test_a_message_in_hand_goes_back_when_power_falls(worker: RunningWorker, odd: Config, broker: BrokerConfig) -> None:
    """A prefetched message that may not start is requeued, and does not count as an attempt."""
    report_power(odd, PowerState.SURPLUS)
    until(lambda: (s := worker.status) and "edge.surplus" in s.queues, "surplus")
    first = publish(broker, "nap", 1)
    worker.until_running(first)
    second = publish(broker, "steps", 1, 0, power=Power.SURPLUS)
    until(lambda: depth(broker, Power.SURPLUS) == 0, "the second in hand")
    report_power(odd, PowerState.NORMAL)
    worker.result(first)
    until(lambda: depth(broker, Power.SURPLUS) == 1, "the second back in its queue")
    assert not worker.results.has(second)
    report_power(odd, PowerState.SURPLUS)
    assert worker.result(second).value == {"from": 0, "to": 1, "attempt": 1}
    assert not odd.layout.attempts.exists()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"boot_id": "another"}, "other boot"),
        ({"pid": 2**22 + 1}, "dead writer"),
        ({"monotonic": -1e9, "valid_s": 5.0}, "old"),
    ],
)
def test_a_status_that_does_not_count_is_unknown(
    worker: RunningWorker, odd: Config, fields: dict[str, object], why: str
) -> None:
    """A status of another boot, of a dead governor, or too old is unknown, and nothing is consumed."""
    report_power(odd, PowerState.NORMAL, **fields)
    assert worker.until_state(WorkerState.PAUSED).power is PowerState.UNKNOWN, why


def test_a_status_grows_old_by_itself(worker: RunningWorker, odd: Config) -> None:
    """A silent governor is trusted for valid_s, and no longer."""
    report_power(odd, PowerState.NORMAL, valid_s=1.0)
    assert worker.until_state(WorkerState.PAUSED).power is PowerState.UNKNOWN


def test_the_status_of_a_dead_governor_does_not_count(worker: RunningWorker, odd: Config) -> None:
    """The worker learns the end of the governor from the kernel, without polling."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as governor:
        report_power(odd, PowerState.SURPLUS, pid=governor.pid)
        until(lambda: (s := worker.status) and s.power is PowerState.SURPLUS, "surplus")
        governor.kill()
    assert worker.until_state(WorkerState.PAUSED).power is PowerState.UNKNOWN


def test_an_unreadable_status_is_unknown(worker: RunningWorker, odd: Config) -> None:
    """Half a file or none counts as unknown."""
    odd.layout.power.write_text("{")
    worker.until_state(WorkerState.PAUSED)
    report_power(odd, PowerState.NORMAL)
    worker.until_state(WorkerState.IDLE)
    odd.layout.power.unlink()
    worker.until_state(WorkerState.PAUSED)


def test_an_idle_worker_sleeps(worker: RunningWorker, broker: BrokerConfig) -> None:
    """An idle worker has fewer than one wake-up in two seconds over all threads, even after it has worked."""
    worker.result(publish(broker, "echo", "x"))
    worker.until_state(WorkerState.IDLE)
    time.sleep(0.5)  # so that the work after the last job is done
    before = _wakeups(worker.process.pid)
    time.sleep(4)
    assert _wakeups(worker.process.pid) - before < 2


def _wakeups(pid: int) -> int:
    """Return the voluntary context switches of all threads."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(int(x.split()[1]) for x in status.read_text().splitlines() if x.startswith("voluntary_ctxt"))
    return total
