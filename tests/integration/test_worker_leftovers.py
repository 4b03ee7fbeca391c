"""What a body leaves behind never stops the jobs after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, PowerState, WorkerState
from tests.running_worker import RunningWorker, StartWorker, depth, publish, tell_power

pytestmark = pytest.mark.broker

TASKS = '''
import os
from edge.worker import Job, task

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
    from edge import durable

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
'''


@pytest.fixture
def worker(
    broker: BrokerConfig, make_config: Callable[..., Config], start_worker: StartWorker, tmp_path: Path
) -> RunningWorker:
    """A worker that knows the tasks above."""
    (tmp_path / "leftovers.py").write_text(TASKS)
    config = make_config(broker=broker, tasks=["leftovers"], worker={"max_artifact_bytes": 4000})
    tell_power(config, PowerState.NORMAL)
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
    """One result without files, that says why; the folder is gone, and the next job runs in the same worker."""
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
    """The worker tries again until the name is safe; what the result speaks of stays."""
    job_id = publish(broker, "refused_once")
    assert worker.result(publish(broker, "next_one")).value == "next"
    result = worker.result(job_id)
    assert (result.value, [file.name for file in result.files]) == ("kept", ["a.txt"])
    assert worker.results.artifact(result, "a.txt").read_text() == "kept"
    assert depth(broker) == 0
