"""Programs as jobs, on real workers: power, cancels, limits, crashes and stops reach all their processes."""

from __future__ import annotations

import os
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, PowerState, WorkerState
from edge.results.orders import Order, Orders
from edge.worker.command.sandbox import bubblewrap
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, publish, report_power, until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(bubblewrap() is None, reason="bubblewrap is not installed"),
]

#: The program touches a file repeatedly, from a daemon outside of its session and group, until a file `go` exists.
BEATS = (
    'cd $EDGE_CHECKPOINT; trap "echo saved >saved; exit 0" TERM; '
    "(setsid sh -c 'trap \"\" TERM; while :; do touch beat; sleep 0.02; done' >/dev/null 2>&1 &); "
    "echo begun; while [ ! -e go ]; do sleep 0.02; done; cat saved 2>/dev/null; echo $EDGE_ATTEMPT >/work/out.txt"
)
COMMANDS: list[dict[str, Any]] = [
    {"name": "beats", "run": ["sh", "-c", BEATS], "outputs": ["out.txt"]},
    {"name": "say", "run": ["echo", "{text}"], "parameters": {"text": {}}},
    {"name": "fails", "run": ["sh", "-c", "echo why >&2; exit 4"]},
]


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """Commands, and short times."""
    return {
        "tasks": [],
        "commands": COMMANDS,
        "allow_any": True,
        "worker": {"stop_grace_s": 2.0},
        "power": {"critical": {"grace_s": 2.0, "action": "none"}},
    }


def folder_of(config: Config, job_id: str) -> Path:
    return config.layout.checkpoints / f"{job_id}.d"


def beating(worker: RunningWorker, broker: BrokerConfig) -> tuple[str, Path]:
    """Start a job with a daemon that beats; return its id and the file that it touches."""
    job_id = publish(broker, "beats")
    beat = folder_of(worker.config, job_id) / "beat"
    until(beat.exists, lambda: f"a beat; log:\n{worker.log_tail()}")
    return job_id, beat


def stands_still(beat: Path) -> bool:
    """Return True if no beat comes for a while."""
    try:
        before = beat.stat().st_mtime_ns
        time.sleep(0.25)
        return beat.stat().st_mtime_ns == before
    except FileNotFoundError:
        return True


def goes_on(beat: Path) -> None:
    """Return once there is another beat."""
    before = beat.stat().st_mtime_ns
    until(lambda: beat.stat().st_mtime_ns > before, "another beat")


def test_a_program_is_a_job(worker: RunningWorker, broker: BrokerConfig) -> None:
    result = worker.result(publish(broker, "say", "hello there"))
    assert result.state is JobState.SUCCEEDED
    assert isinstance(result.value, dict)
    assert result.value["stdout"] == "hello there\n"
    assert result.energy is not None
    assert result.energy.peak_bytes


def test_a_failure_has_its_code_and_its_lines(worker: RunningWorker, broker: BrokerConfig) -> None:
    result = worker.result(publish(broker, "fails"))
    assert result.failure is not None
    assert (result.failure.code, result.failure.traceback) == (FailureCode.EXIT, "why\n")


def test_an_option_in_a_message_is_refused(worker: RunningWorker, broker: BrokerConfig) -> None:
    result = worker.result(publish(broker, "say", "--help"))
    assert result.failure is not None
    assert result.failure.code is FailureCode.BAD_ARGUMENTS


def test_it_is_held_with_all_its_processes_and_goes_on(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    job_id, beat = beating(worker, broker)
    report_power(odd, PowerState.LOW)
    worker.until_state(WorkerState.HELD)
    assert stands_still(beat)
    report_power(odd, PowerState.NORMAL)
    worker.until_state(WorkerState.RUNNING)
    goes_on(beat)
    (beat.parent / "go").touch()
    result = worker.result(job_id)
    assert result.state is JobState.SUCCEEDED
    assert result.energy is not None
    assert result.energy.held_s > 0.1


def test_at_critical_power_it_saves_and_goes_on_from_there(
    worker: RunningWorker, broker: BrokerConfig, odd: Config
) -> None:
    job_id, beat = beating(worker, broker)
    report_power(odd, PowerState.CRITICAL)
    worker.process.wait(30)
    assert stands_still(beat)
    assert (beat.parent / "saved").read_text() == "saved\n"
    (beat.parent / "go").touch()
    report_power(odd, PowerState.NORMAL)
    worker.again()
    result = worker.result(job_id)
    assert isinstance(result.value, dict)
    assert result.value["stdout"] == "begun\nsaved\n"
    until(lambda: not beat.parent.exists(), "the folder of a job that has ended to go")


def test_a_copy_at_another_worker_waits_for_the_first_run(
    worker: RunningWorker, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """Two runs at once would write into one EDGE_CHECKPOINT. The broker may have two copies after a power cut."""
    job_id, beat = beating(worker, broker)
    second = start_worker(worker.config, EDGE_WORKER_NAME="second")
    publish(broker, "beats", job_id=job_id)
    until(lambda: "another worker of this board runs the same job" in second.log_tail(), second.log_tail)
    (beat.parent / "go").touch()
    assert worker.result(job_id).worker == "main"
    until(lambda: "has its result already" in second.log_tail(), second.log_tail)


def test_a_cancel_ends_all_of_it(worker: RunningWorker, broker: BrokerConfig, odd: Config) -> None:
    job_id, beat = beating(worker, broker)
    Orders(odd.layout).place(Order.CANCEL, job_id)
    assert worker.result(job_id).state is JobState.CANCELLED
    assert stands_still(beat)


def test_a_time_limit_ends_all_of_it(worker: RunningWorker, broker: BrokerConfig) -> None:
    job_id = publish(broker, "beats", edge={"time_limit_s": 0.5})
    result = worker.result(job_id)
    assert result.failure is not None
    assert result.failure.code is FailureCode.TIME_LIMIT
    assert result.failure.traceback == "begun\n"
    assert stands_still(folder_of(worker.config, job_id) / "beat")


def test_a_stop_asks_it_to_end_and_its_job_comes_again(worker: RunningWorker, broker: BrokerConfig) -> None:
    job_id, beat = beating(worker, broker)
    assert worker.stop() == 0
    assert stands_still(beat)
    (beat.parent / "go").touch()
    worker.again()
    assert worker.result(job_id).state is JobState.SUCCEEDED


def test_it_does_not_outlive_a_worker_that_is_killed(worker: RunningWorker, broker: BrokerConfig) -> None:
    _, beat = beating(worker, broker)
    worker.kill()
    until(lambda: stands_still(beat), "the daemon of a dead worker to end")


def test_what_a_dead_worker_left_is_removed(worker: RunningWorker, broker: BrokerConfig) -> None:
    _, beat = beating(worker, broker)
    work = worker.config.layout.work("main")
    assert len(list(work.iterdir())) == 1
    worker.kill()
    (beat.parent / "go").touch()
    worker.again()
    until(lambda: not work.exists() or not list(work.iterdir()), lambda: f"an empty {work}; log:\n{worker.log_tail()}")


def test_a_frozen_worker_freezes_its_program(
    broker: BrokerConfig, make_config: MakeConfig, odd_settings: dict[str, Any], start_worker: StartWorker
) -> None:
    config = make_config(broker=broker, **{**odd_settings, "worker": {"running_job": "freeze", "stop_grace_s": 2.0}})
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    worker.until_state(WorkerState.IDLE)
    job_id, beat = beating(worker, broker)
    report_power(config, PowerState.LOW)
    until(lambda: stands_still(beat), "the program to stand still")
    report_power(config, PowerState.NORMAL)
    goes_on(beat)
    (beat.parent / "go").touch()
    assert worker.result(job_id).state is JobState.SUCCEEDED


class TestThreads:
    """A worker of threads runs programs at the same time."""

    @pytest.fixture
    def worker(
        self, broker: BrokerConfig, make_config: MakeConfig, odd_settings: dict[str, Any], start_worker: StartWorker
    ) -> RunningWorker:
        """A worker of threads."""
        workers = [{"name": "main", "pool": "threads", "concurrency": 4}]
        commands = [command | {"pool": "io"} for command in COMMANDS]
        config = make_config(broker=broker, **{**odd_settings, "workers": workers, "commands": commands})
        report_power(config, PowerState.NORMAL)
        worker = start_worker(config)
        worker.until_state(WorkerState.IDLE)
        return worker

    @staticmethod
    def beating(worker: RunningWorker, broker: BrokerConfig) -> tuple[str, Path]:
        job_id = publish(broker, "beats", queue="edge.io.normal")
        beat = folder_of(worker.config, job_id) / "beat"
        until(beat.exists, lambda: f"a beat; log:\n{worker.log_tail()}")
        return job_id, beat

    def test_two_at_once_and_a_cancel_of_one(self, worker: RunningWorker, broker: BrokerConfig) -> None:
        first, first_beat = self.beating(worker, broker)
        second, second_beat = self.beating(worker, broker)
        Orders(worker.config.layout).place(Order.CANCEL, first)
        assert worker.result(first).state is JobState.CANCELLED
        assert stands_still(first_beat)
        assert not stands_still(second_beat)
        (second_beat.parent / "go").touch()
        result = worker.result(second)
        assert result.state is JobState.SUCCEEDED
        assert result.energy is not None
        assert result.energy.cpu_seconds > 0

    def test_held_and_going_on(self, worker: RunningWorker, broker: BrokerConfig) -> None:
        job_id, beat = self.beating(worker, broker)
        report_power(worker.config, PowerState.LOW)
        until(lambda: stands_still(beat), "the program to be held")
        report_power(worker.config, PowerState.NORMAL)
        goes_on(beat)
        (beat.parent / "go").touch()
        assert worker.result(job_id).state is JobState.SUCCEEDED

    def test_a_time_limit_ends_all_of_it(self, worker: RunningWorker, broker: BrokerConfig) -> None:
        job_id = publish(broker, "beats", queue="edge.io.normal", edge={"time_limit_s": 0.5})
        result = worker.result(job_id)
        assert result.failure is not None
        assert result.failure.code is FailureCode.TIME_LIMIT
        assert "would not end" not in result.failure.message


#: It writes a file in parts, so that a half-written one is noticed.
BLOB = 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo "$1 $i" >>out.txt; sleep 0.01; done; echo end >>out.txt'


def test_no_output_is_torn_by_kills(
    broker: BrokerConfig, make_config: MakeConfig, odd_settings: dict[str, Any], start_worker: StartWorker
) -> None:
    """A worker is killed repeatedly while programs run and results are published; EDGE_KILLS says how often."""
    parameters = {"n": {"type": "int", "min": 0}}
    command = {"name": "blob", "run": ["sh", "-c", BLOB, "blob", "{n}"], "outputs": ["out.txt"]}
    commands = [command | {"parameters": parameters}]
    settings = {**odd_settings, "commands": commands, "worker": {"max_crashes": 100_000}}
    config = make_config(broker=broker, **settings)
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    worker.until_state(WorkerState.IDLE)
    chance = random.Random(17)
    jobs: dict[str, int] = {}
    for kill in range(int(os.environ.get("EDGE_KILLS", "4"))):
        jobs |= {publish(broker, "blob", 2 * kill + number): 2 * kill + number for number in (0, 1)}
        worker.until_state(WorkerState.IDLE, WorkerState.RUNNING)
        time.sleep(chance.uniform(0.0, 0.6))
        worker.kill()
        worker.again()
    for job_id, number in jobs.items():
        result = worker.result(job_id)
        assert result.state is JobState.SUCCEEDED, result
        content = worker.results.artifact(result, "out.txt").read_bytes()
        assert sha256(content).hexdigest() == result.files[0].sha256
        assert content.decode().splitlines() == [f"{number} {i}" for i in range(1, 21)] + ["end"]
    work = config.layout.work("main")
    assert not work.exists() or not list(work.iterdir())
