"""A spawned job gets the files that its parent hands on, on real workers."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from edge.client import Client
from edge.config import BrokerConfig
from edge.core.errors import JobFailed
from edge.model import PowerState
from tests.conftest import MakeConfig
from tests.docs.pages import marked
from tests.integration.test_spawn import Gateway
from tests.running_worker import StartWorker, report_power
from tests.unit.worker.command.bench import needs_bubblewrap

TASKS = '''
from edge.worker import Job, task

@task
def size(job: Job) -> int:
    return job.input("text").stat().st_size

@task
def relay(other: str, job: Job) -> list[str]:
    """Hand the own file to a program, and another stored file to a task."""
    return [
        job.spawn("count", files={"input": job.input("clip")}),
        job.spawn(size, files={"text": other}, delay_s=0.5),
    ]

@task
def makes(job: Job) -> str:
    """Hand an own artifact on, which is not possible."""
    job.file("out.txt").write_text("x")
    return job.spawn(size, files={"text": job.file("out.txt")})
'''
COUNT = {"name": "count", "run": ["wc", "-c", "{input}"], "inputs": {"input": {"max_bytes": 100}}}
#: The command of the how-to; it cuts the file instead.
TRANSCODE = {
    "name": "transcode",
    "run": ["head", "-c", "{width}", "{input}"],
    "parameters": {"width": {"type": "int", "min": 0}},
    "inputs": {"input": {"max_bytes": 10_000}},
}
LIMIT_S = 60.0
pytestmark = pytest.mark.broker


@pytest.fixture
def client(
    broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path, edge_env: dict[str, str], start_worker: StartWorker
) -> Iterator[Client]:
    """A client of a gateway with a worker."""
    (tmp_path / "handing.py").write_text(TASKS)
    (tmp_path / "page.py").write_text(marked("docs/how-to/spawning.md", "files")[0])
    config = make_config(broker=broker, tasks=["handing", "page"], commands=[COUNT, TRANSCODE])
    report_power(config, PowerState.NORMAL)
    edge_env["PYTHONPATH"] = str(tmp_path)
    gateway = Gateway(config, edge_env, tmp_path / "gateway.log")
    start_worker(config)
    yield gateway.client
    gateway.close()


@needs_bubblewrap
def test_files_are_handed_on(client: Client, tmp_path: Path) -> None:
    """A program gets the file of the job that spawned it, with its name; the file stays until both have ended."""
    (tmp_path / "clip.mov").write_bytes(b"12345")
    (tmp_path / "other").write_bytes(b"1234567")
    client.upload(tmp_path / "other")
    other = sha256(b"1234567").hexdigest()
    program, size = client.submit("relay", other, files={"clip": tmp_path / "clip.mov"}).value(LIMIT_S)
    value = client.wait(program, timeout=LIMIT_S).value
    assert value["stdout"].split()[0] == "5"
    assert value["stdout"].split()[1].endswith("clip.mov")
    assert client.wait(size, timeout=LIMIT_S).value == 7


@needs_bubblewrap
def test_the_example_of_the_how_to_works(client: Client, tmp_path: Path) -> None:
    """Two programs get the same file."""
    (tmp_path / "clip.mov").write_bytes(bytes(9999))
    job = client.submit("every_format", files={"clip": tmp_path / "clip.mov"})
    assert job.value(LIMIT_S) == 2
    ids = [child.id for child in client.children(job.id) if not isinstance(child, str)]
    assert [client.wait(each, timeout=LIMIT_S).value["stdout_bytes"] for each in ids] == [640, 1280]


def test_an_artifact_cannot_be_handed_on(client: Client) -> None:
    """The failure says what is possible."""
    with pytest.raises(JobFailed, match=r"expected job\.input\(NAME\), or the SHA-256 of a file"):
        client.submit("makes").value(LIMIT_S)
