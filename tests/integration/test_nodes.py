"""A board without a broker sends its results to the head, and acknowledges a message only when the head has them."""

from __future__ import annotations

import json
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edge.access.tokens import Scope, Tokens
from edge.broker import topology
from edge.cli.main import main
from edge.client import Client
from edge.config import BrokerConfig, Config, load
from edge.gateway.api import nodes
from edge.gateway.http.route import OCTETS
from edge.model import Artifact, Attempts, FailureCode, JobState, PowerState, Result, WorkerState
from edge.results.store import Results
from tests.conftest import MakeConfig, delete_queues, sections
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import RunningWorker, StartWorker, depth, publish, report_power, until
from tests.unit.worker.command.bench import needs_bubblewrap

pytestmark = pytest.mark.broker
ATTEMPT = "0123abcd"


@pytest.fixture
def head(broker: BrokerConfig, make_config: MakeConfig) -> Config:
    """The head's configuration; its power is too low for any job."""
    config = make_config(broker=broker, tasks=["odd", "tasks.solve"], worker={"max_artifact_bytes": 100_000})
    report_power(config, PowerState.CRITICAL)
    return config


@pytest.fixture
def gateway(head: Config, start_gateway: StartGateway) -> RunningGateway:
    return start_gateway(head)


@pytest.fixture
def bearer(head: Config) -> dict[str, Any]:
    """The header with the token of the node."""
    return {"Authorization": f"Bearer {Tokens(head.layout.tokens).add('node-2', [Scope.NODE])}"}


@pytest.fixture
def node(gateway: RunningGateway, broker: BrokerConfig, bearer: dict[str, Any], tmp_path: Path) -> Config:
    """The configuration of a node with power."""
    (tmp_path / "node.token").write_text(bearer["Authorization"].removeprefix("Bearer "))
    tree = {
        "root": "node",
        "run": "node-run",
        "tasks": ["odd", "tasks.solve"],
        "broker": sections(broker),
        "worker": {"name": "node-2"},
        "node": {"head_url": f"http://127.0.0.1:{gateway.port}", "token_file": "node.token"},
    }
    (tmp_path / "node.yaml").write_text(yaml.safe_dump(tree))
    config = load(tmp_path / "node.yaml", env={}).config
    report_power(config, PowerState.NORMAL)
    return config


@pytest.fixture
def at_head(head: Config, start_worker: StartWorker) -> RunningWorker:
    """The head's worker, which starts no job because its power is low."""
    worker = start_worker(head)
    worker.until_state(WorkerState.PAUSED)
    return worker


@pytest.fixture
def at_node(node: Config, start_worker: StartWorker, tmp_path: Path) -> RunningWorker:
    """The node's ready worker."""
    worker = start_worker(node, EDGE_CONFIG=str(tmp_path / "node.yaml"))
    worker.until_state(WorkerState.IDLE)
    return worker


def left(config: Config) -> list[str]:
    """Return the files under the results of a board."""
    return [path.name for path in config.layout.results.rglob("*") if path.is_file()]


def test_a_job_runs_where_the_sun_is(
    at_head: RunningWorker, at_node: RunningWorker, gateway: RunningGateway, broker: BrokerConfig
) -> None:
    """The node runs the job, the head gets value and file, the node keeps nothing, and the message is gone."""
    job_id = publish(broker, "solve", 1, "What is 50 divided by 2?")
    result = at_head.result(job_id)
    assert (result.value, result.worker) == ("50 divided by 2 = 25", "node-2")
    assert at_head.results.artifact(result, "1-response.txt").read_text() == "50 divided by 2 = 25"
    gateway.becomes(job_id, "succeeded")
    until(lambda: left(at_node.config) == [], lambda: f"the node keeps {left(at_node.config)}")
    until(lambda: not list(gateway.layout.uploads.iterdir()), "the upload is dropped")
    assert depth(broker) == 0


def test_a_node_fetches_the_files_of_a_job_once(
    at_head: RunningWorker, at_node: RunningWorker, gateway: RunningGateway, broker: BrokerConfig
) -> None:
    """A file is fetched once by its hash; a file that the head does not have ends the job."""
    content = bytes(range(256)) * 20_000
    digest = sha256(content).hexdigest()
    gateway.ask("PUT", "/files", content)
    clip = {"clip": {"sha256": digest, "name": "a.mov", "bytes": len(content)}}
    first = publish(broker, "measured", edge={"files": clip})
    assert at_head.result(first).value == len(content)
    fetched = at_node.config.layout.files / digest
    assert fetched.read_bytes() == content
    inode = fetched.stat().st_ino
    assert at_head.result(publish(broker, "measured", edge={"files": clip})).value == len(content)
    assert fetched.stat().st_ino == inode
    missing = {"clip": {"sha256": "0" * 64, "bytes": 7}}
    failure = at_head.result(publish(broker, "measured", edge={"files": missing})).failure
    assert failure is not None
    assert failure.code is FailureCode.NO_INPUT


def test_a_node_whose_head_goes_away_fetches_the_rest_later(
    at_head: RunningWorker,
    at_node: RunningWorker,
    gateway: RunningGateway,
    start_gateway: StartGateway,
    broker: BrokerConfig,
) -> None:
    """If the head goes down during a fetch, the job waits, and continues when the head is back."""
    content = bytes(range(256)) * 20_000
    digest = sha256(content).hexdigest()
    gateway.ask("PUT", "/files", content)
    gateway.stop()
    job_id = publish(broker, "measured", edge={"files": {"clip": {"sha256": digest, "bytes": len(content)}}})
    until(lambda: at_node.status and "cannot reach the gateway" in at_node.status.reason, at_node.log_tail)
    start_gateway(gateway.config)
    assert at_head.result(job_id).value == len(content)


def test_the_head_goes_away_while_the_node_works(
    at_head: RunningWorker,
    at_node: RunningWorker,
    gateway: RunningGateway,
    start_gateway: StartGateway,
    broker: BrokerConfig,
) -> None:
    """If the head goes down while the node works, the node keeps the result until it is back; the body ran once."""
    job_id = publish(broker, "nap", 2.0)
    at_node.until_running(job_id)
    gateway.stop()
    held = until(lambda: at_node.status and at_node.status.reason, at_node.log_tail)
    assert held.startswith("cannot reach the gateway")
    assert not at_head.results.has(job_id)
    start_gateway(gateway.config)
    assert at_head.result(job_id).value == 1
    at_node.until_state(WorkerState.IDLE)
    assert depth(broker) == 0


def test_no_report_without_a_durable_result(
    at_node: RunningWorker,
    head: Config,
    start_worker: StartWorker,
    broker: BrokerConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While no worker of the head takes a result over, the node keeps the message."""
    monkeypatch.setattr(nodes, "_TAKEN_S", 0.5)
    job_id = publish(broker, "echo", "hello")
    until(lambda: at_node.status and "no worker of this board" in at_node.status.reason, at_node.log_tail)
    assert not Results(head.layout).has(job_id)
    assert start_worker(head).result(job_id).value == "hello"
    at_node.until_state(WorkerState.IDLE)


def test_a_group_with_one_result_that_the_head_never_takes(
    head: Config, at_head: RunningWorker, at_node: RunningWorker, broker: BrokerConfig
) -> None:
    """A result with files over the head's limit ends its job, the others succeed, and no body runs twice."""
    most = head.worker.max_artifact_bytes
    for _ in range(4):  # both kinds are then known to be short, so their results are sent in groups
        at_head.result(publish(broker, "echo", "x"))
        at_head.result(publish(broker, "large_file", 1))
    process = at_node.process.pid
    report_power(at_node.config, PowerState.PAUSED)
    at_node.until_state(WorkerState.PAUSED)
    jobs = [publish(broker, "echo", f"before {number}") for number in range(5)]
    large = publish(broker, "large_file", most + 1)
    jobs += [publish(broker, "echo", f"after {number}") for number in range(5)]
    report_power(at_node.config, PowerState.NORMAL)
    refused = at_head.result(large)
    assert refused.failure is not None
    assert (refused.failure.code, refused.files) == (FailureCode.TOO_LARGE, ())
    assert f"more bytes than {most}" in refused.failure.message
    assert {at_head.result(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert {at_head.result(job).attempts for job in (*jobs, large)} == {1}
    at_node.until_state(WorkerState.IDLE)
    assert (at_node.process.pid, at_node.process.poll()) == (process, None)
    assert depth(broker) == 0


def result_of(job_id: str, value: Any, **fields: Any) -> bytes:
    return msgspec.json.encode(Result(job_id, "echo", JobState.SUCCEEDED, value=value, finished_at=1.0, **fields))


def put(gateway: RunningGateway, path: str, body: bytes, bearer: dict[str, Any], **headers: Any) -> int:
    return gateway.ask("PUT", path, body, **bearer, **headers).status


def test_the_first_result_stands(at_head: RunningWorker, gateway: RunningGateway, bearer: dict[str, Any]) -> None:
    """A second result of a job is accepted and changes nothing; numbers arrive unchanged."""
    job_id = gateway.submit()
    for value in (2.0, "another"):
        assert put(gateway, f"/jobs/{job_id}/result?attempt={ATTEMPT}", result_of(job_id, value), bearer) == 204
    payload = json.loads((at_head.results.read_bytes(job_id) or b"").decode())
    assert payload["value"] == 2.0
    assert isinstance(payload["value"], float)


def test_a_damaged_upload_is_no_result(
    at_head: RunningWorker, gateway: RunningGateway, bearer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file gets 503 and nothing is published; when it is sent again complete, it is."""
    monkeypatch.setattr(nodes, "_TAKEN_S", 1.0)
    job_id = gateway.submit()
    whole = b"all of it"
    files = (Artifact("out.txt", len(whole), sha256(whole).hexdigest()),)
    octets: dict[str, Any] = {"Content_Type": "application/octet-stream"}
    for content, status in ((b"half", 503), (whole, 204)):
        file = f"/jobs/{job_id}/files/out.txt?attempt={ATTEMPT}"
        assert put(gateway, file, content, bearer, **octets) == 204
        body = result_of(job_id, None, files=files)
        assert put(gateway, f"/jobs/{job_id}/result?attempt={ATTEMPT}", body, bearer) == status
        assert at_head.results.has(job_id) is (status == 204)
    result = at_head.result(job_id)
    assert at_head.results.artifact(result, "out.txt").read_bytes() == whole


def test_a_failed_attempt_is_the_heads_to_repeat(gateway: RunningGateway, bearer: dict[str, Any]) -> None:
    """The head's ledger has a failed attempt durably before the node acknowledges the message."""
    job_id = gateway.submit()
    body = msgspec.json.encode(Attempts(job_id, deliveries=1, failures=1, last_error="RuntimeError: no"))
    assert put(gateway, f"/jobs/{job_id}/attempts", body, bearer) == 204
    view = gateway.ask("GET", f"/jobs/{job_id}").json
    assert (view["state"], view["error"]) == ("retrying", "RuntimeError: no")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/jobs/{id}/result?attempt=x", b"{}", 400),
        ("/jobs/{id}/result?attempt=" + ATTEMPT, b'{"id": "other", "task": "echo", "state": "failed"}', 400),
        ("/jobs/{id}/result?attempt=" + ATTEMPT, b'{"id": "{id}", "task": "echo", "state": "queued"}', 400),
        ("/jobs/{id}/attempts", b"[]", 400),
        ("/jobs/{id}/attempts", b'{"id": "{id}", "failures": 99999999999999999999}', 400),
        ("/jobs/{id}/files/..%2Fx?attempt=" + ATTEMPT, b"", 415),
    ],
)
def test_what_is_no_result_is_refused(
    gateway: RunningGateway, bearer: dict[str, Any], path: str, body: bytes, status: int
) -> None:
    """An invalid result is refused with one sentence, and nothing is stored."""
    job_id = gateway.submit()
    assert put(gateway, path.replace("{id}", job_id), body.replace(b"{id}", job_id.encode()), bearer) == status
    assert list(gateway.layout.uploads.iterdir()) == []


def test_a_node_may_do_its_part_only(gateway: RunningGateway, bearer: dict[str, Any], head: Config) -> None:
    """A node may ask for the state of a job, but not read, list or submit; only nodes may send results."""
    job_id = gateway.submit()
    assert gateway.ask("GET", f"/jobs/{job_id}", **bearer).status == 200
    for method, path in (("GET", f"/jobs/{job_id}/result"), ("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/status")):
        assert gateway.ask(method, path, {} if method == "POST" else None, **bearer).status == 403, path
    admin: dict[str, Any] = {"Authorization": f"Bearer {Tokens(head.layout.tokens).add('root', [Scope.ADMIN])}"}
    for caller in (admin, {}):
        assert put(gateway, f"/jobs/{job_id}/result?attempt={ATTEMPT}", result_of(job_id, 1), caller) == 403


def test_a_node_that_is_up_before_its_heads_queues(
    node: Config, gateway: RunningGateway, broker: BrokerConfig, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A node waits for the queues of its head, because it may not declare them."""
    gateway.stop()
    delete_queues(broker)
    worker = start_worker(node, EDGE_CONFIG=str(tmp_path / "node.yaml"))
    until(lambda: "NOT_FOUND" in worker.log_tail(), worker.log_tail)
    with topology.connection(broker) as link:
        topology.declare(link.default_channel)
    worker.until_state(WorkerState.IDLE)


def test_doctor_looks_at_a_node_by_its_head(
    node: Config, gateway: RunningGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doctor on a node checks its head, and if the head knows the node; it has no ledger, gateway or tokens."""

    def head() -> dict[str, str]:
        capsys.readouterr()
        main(["--config", str(tmp_path / "node.yaml"), "doctor", "--json"])
        found = {each["part"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
        assert not {"ledger", "gateway", "tokens"} & set(found)
        assert found["node.token_file"]["level"] == "FAIL"  # everybody can read the file here
        answer: dict[str, str] = found["head"]
        return answer

    assert head()["level"] == "ok"
    token = tmp_path / "node.token"
    token.write_text("edge_" + "0" * 43)
    assert head()["level"] == "FAIL"
    assert "token" in head()["text"]
    gateway.stop()
    assert head()["text"].startswith("cannot reach")


def test_a_node_has_nothing_to_back_up(node: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backup of a node is refused with one line that names the head."""
    assert main(["--config", str(tmp_path / "node.yaml"), "backup", str(tmp_path / "b.tar")]) == 2
    assert f"back up its head, {node.node.head_url}" in capsys.readouterr().err
    assert not (tmp_path / "b.tar").exists()


def test_a_node_that_goes_to_sleep_tells_its_head(
    head: Config, at_node: RunningWorker, gateway: RunningGateway
) -> None:
    """A node whose worker stops for a sleep informs its head; the head shows it, and refuses an invalid time."""
    at_node.until_state(WorkerState.IDLE)
    awake_at = round(time.time() + 3600)
    report_power(at_node.config, PowerState.CRITICAL, code="sleep", resumes_at=float(awake_at))
    at_node.until_state(WorkerState.PAUSED)
    at_node.stop()
    assert gateway.ask("GET", "/status").json["away"] == {"node-2": awake_at}


PRINTS = "echo one; echo oops >&2; n=0; while [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; echo two"


@needs_bubblewrap
def test_a_program_on_a_node_is_read_at_the_head_while_it_runs(
    gateway: RunningGateway,
    bearer: dict[str, Any],
    node: Config,
    at_head: RunningWorker,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    """A follower at the head gets the first lines long before the end, and all lines in the end.

    Afterwards the head keeps no file of the output, and takes no more of it.
    """
    tree = yaml.safe_load((tmp_path / "node.yaml").read_text())
    tree["commands"] = [{"name": "nothing", "run": ["sh", "-c", PRINTS]}]
    (tmp_path / "node.yaml").write_text(yaml.safe_dump(tree))
    start_worker(node, EDGE_CONFIG=str(tmp_path / "node.yaml")).until_state(WorkerState.IDLE)
    client = Client(f"http://127.0.0.1:{gateway.port}")
    job = client.submit("nothing")
    seen = list[tuple[str, str]]()

    def read(stream: str) -> None:
        for chunk in client.output(job.id, stream=stream, follow=True):
            seen.append((client.job(job.id).state, chunk.decode()))

    readers = [threading.Thread(target=read, args=[stream]) for stream in ("stdout", "stderr")]
    for reader in readers:
        reader.start()
    until(lambda: {text for _, text in seen} == {"one\n", "oops\n"}, "the first lines")
    assert not client.job(job.id).state.final
    for reader in readers:
        reader.join(60)
    assert "".join(text for _, text in seen if text != "oops\n") == "one\ntwo\n"
    assert job.wait(20).value["stdout"] == "one\ntwo\n"
    until(lambda: not list(gateway.layout.node_output.rglob("stdout")), "the end of the files")
    late = gateway.ask("PUT", f"/jobs/{job.id}/output?attempt={ATTEMPT}", b"x", Content_Type=OCTETS, **bearer)
    assert late.status == 409
    unknown = gateway.ask("PUT", f"/jobs/nobody/output?attempt={ATTEMPT}", b"x", Content_Type=OCTETS, **bearer)
    assert unknown.status == 404
