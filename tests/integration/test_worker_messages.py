"""Every message ends in one result file, and the worker continues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.model import FailureCode, JobState, Power, WorkerState, file_safe_id
from tests.running_worker import RunningWorker, StartWorker, depth, publish, until

pytestmark = pytest.mark.broker


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """Small limits, a setting for a body, and the task of the main job."""
    return {
        "tasks": ["odd", "tasks.solve"],
        "settings": {"who": {"colour": "blue"}},
        "worker": {"max_result_bytes": 2000, "max_artifact_bytes": 4000, "stop_grace_s": 1.0},
    }


def test_the_main_job(worker: RunningWorker, broker: BrokerConfig) -> None:
    """solve(1, "What is 50 divided by 2?") makes the value and 1-response.txt."""
    job_id = publish(broker, "solve", 1, "What is 50 divided by 2?")
    result = worker.result(job_id)
    assert result.state is JobState.SUCCEEDED
    assert result.value == "50 divided by 2 = 25"
    assert worker.results.artifact(result, "1-response.txt").read_text() == "50 divided by 2 = 25"
    assert (result.attempts, result.worker, result.args) == (1, "main", [1, "What is 50 divided by 2?"])


def test_no_sum_is_a_failure_that_says_so(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A message without a sum ends with a sentence."""
    failure = worker.result(publish(broker, "solve", 1, "hello")).failure
    assert failure is not None
    assert failure.code is FailureCode.EXCEPTION
    assert "no sum in 'hello'" in failure.message


def _message(**parts: Any) -> dict[str, Any]:
    return parts


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        pytest.param(_message(task="nobody"), FailureCode.UNKNOWN_TASK, "unknown task 'nobody'", id="unknown task"),
        pytest.param(_message(task="celery.chord"), FailureCode.UNKNOWN_TASK, "unknown", id="Celery's own tasks"),
        pytest.param(_message(task="echo", body="{nonsense"), FailureCode.UNDECODABLE, "decoded", id="not JSON"),
        pytest.param(_message(task="echo", body="[[],{}]"), FailureCode.UNDECODABLE, "protocol", id="two parts"),
        pytest.param(_message(task="echo", body="[1,{},{}]"), FailureCode.UNDECODABLE, "list", id="args no list"),
        pytest.param(_message(task="echo", body="7"), FailureCode.UNDECODABLE, "protocol", id="a number"),
        pytest.param(_message(task="echo", body="[" * 100_000), FailureCode.UNDECODABLE, "", id="deep"),
        pytest.param(
            _message(task="echo", body=b"\x80\x04N.", content_type="application/x-python-serialize"),
            FailureCode.UNDECODABLE,
            "",
            id="pickle",
        ),
        pytest.param(
            _message(task="echo", headers={"task": "echo", "id": "zip", "compression": "zlib"}, body=b"not zlib"),
            FailureCode.UNDECODABLE,
            "",
            id="compressed badly",
        ),
        pytest.param(_message(task="echo"), FailureCode.BAD_ARGUMENTS, "'text' is missing", id="missing argument"),
        pytest.param(_message(task="echo", args=[1]), FailureCode.BAD_ARGUMENTS, "'text' = 1", id="wrong type"),
        pytest.param(_message(task="echo", args=[1, 2, 3]), FailureCode.BAD_ARGUMENTS, "3 arguments", id="too many"),
        pytest.param(
            _message(task="echo", args=["x"], embed={"chain": [{"task": "boom"}]}),
            FailureCode.BAD_ARGUMENTS,
            "chain",
            id="canvas",
        ),
        pytest.param(_message(task="boom", args=["why"]), FailureCode.EXCEPTION, "why", id="exception"),
        pytest.param(_message(task="odd_value"), FailureCode.NOT_SERIALISABLE, "object", id="odd value"),
        pytest.param(_message(task="large", args=[5000]), FailureCode.TOO_LARGE, "max_result_bytes", id="large"),
        pytest.param(_message(task="large_file", args=[5000]), FailureCode.TOO_LARGE, "max_artifact", id="large file"),
        pytest.param(_message(task="leave"), FailureCode.EXIT, "exit code 3", id="SystemExit"),
        pytest.param(
            _message(task="echo", args=["x"], queue="edge.dead"),
            FailureCode.DEAD_LETTERED,
            "dead-letter queue",
            id="dead letter",
        ),
    ],
)
def test_what_cannot_run_ends_in_a_failure(
    worker: RunningWorker, broker: BrokerConfig, message: dict[str, Any], code: FailureCode, words: str
) -> None:
    """The failure says why, the message is acknowledged, and the next job runs."""
    args = message.pop("args", [])
    headers = message.get("headers")
    job_id = publish(broker, message.pop("task"), *args, **message)
    result = worker.result(headers["id"] if headers else job_id)
    assert result.state is JobState.FAILED
    assert result.failure is not None
    assert result.failure.code is code
    assert words in result.failure.message
    assert worker.result(publish(broker, "echo", "next")).value == "next"
    assert depth(broker) == 0


def test_an_exception_keeps_type_and_traceback(worker: RunningWorker, broker: BrokerConfig) -> None:
    """The traceback has the lines of the person's code, not ours."""
    failure = worker.result(publish(broker, "boom", "why")).failure
    assert failure is not None
    assert failure.type == "RuntimeError"
    assert "odd.py" in failure.traceback
    assert "edge/worker" not in failure.traceback


def test_a_message_without_headers_has_a_result(worker: RunningWorker, broker: BrokerConfig) -> None:
    """The id of a message without one is derived from the content, so a redelivery finds the same result."""
    publish(broker, "", headers={}, body="nothing we know")
    ids = until(lambda: list(worker.results.ids()), "a result")
    publish(broker, "", headers={}, body="nothing we know")
    assert worker.result(publish(broker, "echo", "x")).value == "x"
    assert len(list(worker.results.ids())) == 2
    assert ids[0].startswith("x-")


def test_protocol_1_runs(worker: RunningWorker, broker: BrokerConfig) -> None:
    """Messages of old Celery producers, with all in the body, run."""
    body = json.dumps({"task": "echo", "id": "old-1", "args": ["hi"], "kwargs": {"times": 2}})
    publish(broker, "", headers={}, body=body)
    assert worker.result("old-1").value == "hihi"


@pytest.mark.parametrize("wire_id", ["../../etc/passwd", "ü" * 300, ".hidden", "a\ud800b"])
def test_an_odd_id_cannot_name_a_file_of_ours(worker: RunningWorker, broker: BrokerConfig, wire_id: str) -> None:
    """The result has a derived id and remembers the original."""
    clean = wire_id.encode("utf-8", "backslashreplace").decode()
    sent = wire_id if clean == wire_id else None
    if sent is None:
        body = json.dumps({"task": "echo", "id": wire_id, "args": ["hi"]})
        publish(broker, "", headers={}, body=body)
    else:
        publish(broker, "echo", "hi", job_id=sent)
    result = worker.result(file_safe_id(clean))
    assert (result.value, result.original_id) == ("hi", clean)


def test_a_duplicate_is_acknowledged_and_not_run(worker: RunningWorker, broker: BrokerConfig) -> None:
    """For the same id again the first result stands."""
    job_id = publish(broker, "echo", "first")
    first = worker.result(job_id)
    publish(broker, "echo", "second", job_id=job_id)
    worker.result(publish(broker, "echo", "after"))
    assert worker.results.read(job_id) == first
    assert depth(broker) == 0


def test_celery_knows_the_request(worker: RunningWorker, broker: BrokerConfig) -> None:
    """current_task.request.id works, and job.settings come from the configuration."""
    job_id = publish(broker, "who")
    assert worker.result(job_id).value == [job_id, job_id, "blue"]


def test_a_child_that_falls_out_of_a_body_is_ended(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A fork in a job leaves one worker and one result."""
    assert worker.result(publish(broker, "fork")).value == "one"
    assert worker.result(publish(broker, "echo", "x")).value == "x"


def test_a_failing_body_with_retries_left_leaves_attempts(worker: RunningWorker, broker: BrokerConfig) -> None:
    """Until the last retry there is no result, and the attempts record the failures; then there is a failure."""
    job_id = publish(broker, "boom", "a", edge={"failures": 0, "retries": 1})
    attempts = worker.config.layout.attempts / f"{job_id}.json"
    until(attempts.exists, "the attempts")
    record = json.loads(attempts.read_bytes())
    assert (record["failures"], record["ended"], record["last_error"]) == (1, ["error"], "RuntimeError: a")
    assert not worker.results.has(job_id)
    publish(broker, "boom", "a", job_id=job_id, edge={"failures": 0, "retries": 1})  # a stale copy is dropped
    publish(broker, "boom", "b", job_id=job_id, edge={"failures": 1, "retries": 1})
    result = worker.result(job_id)
    assert result.attempts == 2
    assert result.failure is not None
    assert result.failure.message == "b"
    until(lambda: not attempts.exists(), "the attempts forgotten")


def test_plain_celery_from_python(worker: RunningWorker, edge_env: dict[str, str], tmp_path: Path) -> None:
    """`solve.delay(...).get()` works, the message is durable when delay returns, and a bad call is refused at once."""
    program = """
import time
from tasks import solve
from edge.core.errors import BadArguments, JobFailed
answer = solve.delay(1, "What is 50 divided by 2?")
assert answer.get(timeout=30) == "50 divided by 2 = 25"
assert answer.state == "SUCCESS"
try:
    solve.delay(1, "hello").get(timeout=30)
except JobFailed as err:
    assert "no sum" in str(err), err
else:
    raise AssertionError("no failure")
try:
    solve.delay("one", "x")
except BadArguments as err:
    assert "'message_id' = 'one'" in str(err)
else:
    raise AssertionError("not refused")
"""
    done = subprocess.run([sys.executable, "-c", program], env=edge_env, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_an_unroutable_publish_raises_and_spoils_nothing(odd: Config, edge_env: dict[str, str], tmp_path: Path) -> None:
    """A publish to a missing queue raises, and the next publish gets its confirm."""
    program = """
from tasks import solve
try:
    solve.apply_async((1, "1 + 1"), exchange="amq.direct", routing_key="nowhere", declare=[])
except Exception as err:
    print("refused:", type(err).__name__)
else:
    raise AssertionError("not refused")
print(solve.delay(1, "1 + 1").id)
"""
    done = subprocess.run([sys.executable, "-c", program], env=edge_env, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert depth(odd.broker) == 1


def test_the_celery_command_runs_the_same_worker(
    odd: Config, broker: BrokerConfig, start_worker: StartWorker, tmp_path: Path
) -> None:
    """`celery -A edge.worker worker` has Celery's own log lines, and ends promptly."""
    argv = [sys.executable, "-m", "celery", "-A", "edge.worker", "worker", "-P", "solo", "-l", "INFO"]
    worker = start_worker(odd, argv=argv)
    worker.until_state(WorkerState.IDLE)
    job_id = publish(broker, "echo", "hi")
    assert worker.result(job_id).value == "hi"
    assert worker.stop() == os.EX_OK
    log = worker.log_tail()
    assert f"Task echo[{job_id}] received" in log
    assert f"Task echo[{job_id}] succeeded in" in log


@pytest.mark.parametrize(
    ("extra", "words"),
    [(["-P", "threads"], "solo pool only"), (["--autoscale", "3,1"], "--autoscale"), (["-B"], "--beat")],
)
def test_options_that_cannot_work_are_one_line(
    odd: Config, start_worker: StartWorker, extra: list[str], words: str
) -> None:
    """Another pool, autoscaling and beat are refused with exit code 2 and a sentence."""
    worker = start_worker(odd, argv=[sys.executable, "-m", "celery", "-A", "edge.worker", "worker", *extra])
    assert worker.process.wait(30) == 2
    assert words in worker.log_tail()
    assert "Traceback" not in worker.log_tail()


def test_two_workers_of_one_name_are_one_too_many(
    worker: RunningWorker, odd: Config, start_worker: StartWorker, broker: BrokerConfig
) -> None:
    """A second worker of the same name exits with 2 and says so; with another name it starts."""
    second = start_worker(odd)
    assert second.process.wait(30) == 2
    assert "worker.name = 'main'" in second.log_tail()
    third = start_worker(odd, EDGE_WORKER_NAME="third")
    until(odd.layout.worker("third").exists, "the third's status")
    assert third.process.poll() is None


def test_low_power_class_queue(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A job of the class `always` comes through its own queue."""
    assert worker.result(publish(broker, "small", "x", power=Power.ALWAYS)).value == "x"


def test_a_body_that_a_full_disk_ended_runs_again(worker: RunningWorker, broker: BrokerConfig) -> None:
    """A body that fails on a full disk runs again; if it fails with free space too, the job fails."""
    result = worker.result(publish(broker, "full", 1))
    assert (result.state, result.value) == (JobState.SUCCEEDED, 2)
    failure = worker.result(publish(broker, "full", 9)).failure
    assert failure is not None
    assert "No space left on device" in failure.message
    assert worker.result(publish(broker, "echo", "on")).value == "on"
