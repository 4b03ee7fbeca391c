"""Whatever a body leaves behind, later jobs run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, PowerState, WorkerState
from tests.running_worker import RunningWorker, StartWorker, depth, publish, report_power

pytestmark = pytest.mark.broker

TASKS = '''
import os, resource, signal, tempfile, time
from edge.worker import task
from edge.worker import Job

@task
def leave(name: str, size: int, fail: bool, job: Job) -> str:
    """Leave a file under a name of one's own making."""
    folder = job.file("a.txt").parent
    with open(os.fsencode(folder) + b"/" + name.encode("latin-1"), "wb") as file:
        file.write(bytes(size))
    if fail:
        raise RuntimeError("after the file")
    return "kept"

@task
def refused_once(job: Job) -> str:
    """Leave a file, and let the card refuse the sync of the folder right after the result got its name."""
    from edge.core import durable

    job.file("a.txt").write_text("kept")
    real = durable.sync_folder

    def refuse(folder):
        if (folder / f"{job.id}.json").exists():
            durable.sync_folder = real
            raise OSError(5, "Input/output error")
        real(folder)

    durable.sync_folder = refuse
    return "kept"

@task
def next_one() -> str:
    """Do nothing."""
    return "next"

@task
def child(seconds: float) -> int:
    """Leave a child that outlives the job."""
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid

@task
def slow() -> None:
    """Sleep for a minute."""
    time.sleep(60)

@task
def spoil(kind: str) -> str:
    """Leave the process other than it was."""
    if kind == "signals":
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
    if kind == "mask":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if kind == "umask":
        os.umask(0o777)
    if kind == "folder":
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)
    if kind == "streams":
        os.closerange(0, 3)
    if kind == "limits":
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if kind == "modules":
        os.fsync = None
    if kind == "files":
        os.closerange(0, 4096)
    return kind

@task
def surroundings() -> list:
    """What a job finds."""
    umask = os.umask(0)
    os.umask(umask)
    streams = [os.fstat(fd).st_ino for fd in range(3)]
    blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    kinds = [type(signal.getsignal(number)).__name__ + str(number) for number in signal.valid_signals()]
    return [umask, os.getcwd(), streams, blocked, sorted(kinds)]
'''


@pytest.fixture
def worker(
    broker: BrokerConfig, make_config: Callable[..., Config], start_worker: StartWorker, tmp_path: Path
) -> RunningWorker:
    """A worker with the tasks above."""
    (tmp_path / "leftovers.py").write_text(TASKS)
    config = make_config(broker=broker, tasks=["leftovers"], worker={"max_artifact_bytes": 4000})
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    worker.until_state(WorkerState.IDLE)
    return worker


@pytest.mark.parametrize(
    ("name", "size", "fail", "code", "words"),
    [
        pytest.param("b\xffd", 1, False, FailureCode.NOT_SERIALISABLE, r"not UTF-8: b'b\xffd'", id="name"),
        pytest.param("b\xffd", 1, True, FailureCode.EXCEPTION, "after the file", id="name of a failure"),
        pytest.param("big", 5000, True, FailureCode.EXCEPTION, "after the file", id="size of a failure"),
    ],
)
def test_files_that_cannot_be_kept_end_in_a_failure(
    worker: RunningWorker, broker: BrokerConfig, name: str, size: int, fail: bool, code: FailureCode, words: str
) -> None:
    """The job fails with the reason and without files; its folder is removed, and the worker runs the next job."""
    job_id = publish(broker, "leave", name, size, fail)
    result = worker.result(job_id)
    assert result.state is JobState.FAILED
    assert result.failure is not None
    assert result.failure.code is code
    assert words in result.failure.message
    assert result.files == ()
    assert [path.name for path in worker.results.path(job_id).parent.glob(f"{job_id}*")] == [f"{job_id}.json"]
    assert worker.result(publish(broker, "next_one")).value == "next"
    assert worker.process.poll() is None
    assert depth(broker) == 0


def test_a_result_that_has_its_name_keeps_its_files_when_the_card_refuses_the_last_sync(
    worker: RunningWorker, broker: BrokerConfig
) -> None:
    """The worker repeats the sync until the name is durable, and the files of the result stay."""
    job_id = publish(broker, "refused_once")
    assert worker.result(publish(broker, "next_one")).value == "next"
    result = worker.result(job_id)
    assert (result.value, [file.name for file in result.files]) == ("kept", ["a.txt"])
    assert worker.results.artifact(result, "a.txt").read_text() == "kept"
    assert depth(broker) == 0


def test_the_process_is_as_it_was_for_the_next_job(worker: RunningWorker, broker: BrokerConfig) -> None:
    """Signals, mask, limits, umask, folder and standard streams are restored, and the next job can be cancelled."""
    before = worker.result(publish(broker, "surroundings")).value
    for kind in ("signals", "mask", "limits", "umask", "folder", "streams"):
        assert worker.result(publish(broker, "spoil", kind)).value == kind
        assert worker.result(publish(broker, "surroundings")).value == before
    worker.result(publish(broker, "spoil", "mask"))
    limited = worker.result(publish(broker, "slow", edge={"time_limit_s": 0.2}))
    assert limited.failure is not None
    assert limited.failure.code is FailureCode.TIME_LIMIT
    assert "slow" in worker.log_tail().splitlines()[-1]  # stderr still works
    assert worker.stop() == 0


def test_a_worker_whose_files_were_closed_starts_anew(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A worker whose file descriptors were closed restarts, as it would get no message; the result says why."""
    failure = worker.result(publish(broker, "spoil", "files")).failure
    assert failure is not None
    assert failure.code is FailureCode.EXIT
    assert "closed files" in failure.message
    assert worker.process.wait(30) == os.EX_TEMPFAIL
    assert list(worker.config.layout.running.iterdir()) == []
    worker.again()
    assert worker.result(publish(broker, "next_one")).value == "next"


def test_a_body_that_breaks_the_library_is_given_up(worker: RunningWorker, broker: BrokerConfig) -> None:
    """If no result can be written in the process, it ends, and after some crashes the job ends as a crash loop."""
    job_id = publish(broker, "spoil", "modules")
    for _ in range(worker.config.worker.max_crashes):
        assert worker.process.wait(30) != 0
        worker.again()
    failure = worker.result(job_id).failure
    assert failure is not None
    assert failure.code is FailureCode.CRASH_LOOP
    assert worker.result(publish(broker, "next_one")).value == "next"


def test_a_child_left_behind_does_not_keep_the_name(worker: RunningWorker, broker: BrokerConfig) -> None:
    """If the child of a job survives its worker, the next worker still gets the name."""
    pid = worker.result(publish(broker, "child", 60)).value
    try:
        worker.kill()
        worker.again()
        assert worker.result(publish(broker, "next_one")).value == "next"
    finally:
        os.kill(pid, signal.SIGKILL)
