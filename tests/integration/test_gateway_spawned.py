"""The gateway takes spawned jobs from files of a worker, and from a node by HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from edge.access.tokens import Scope, Tokens
from edge.backup.pack import backup
from edge.backup.restore import restore
from edge.config import Config, Loaded
from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.gateway.background import settle
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Result, SpawnedJob, SpawnedJobs
from edge.results.spawned import SpawnedFiles
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import until


def spawned(parent: str, texts: Sequence[str], *, first: int = 1, submitter: str = "") -> SpawnedJobs:
    """Make spawned jobs of calls without a key."""
    jobs = tuple(SpawnedJob("echo", [text], call=call) for call, text in enumerate(texts, first))
    return SpawnedJobs(parent, jobs, submitter)


def children(gateway: RunningGateway, parent: str, query: str = "") -> Any:
    """Return a page of the children of a job."""
    answer = gateway.ask("GET", f"/jobs/{parent}/children{query}")
    assert answer.status == 200, answer.body
    return answer.json


def taken(layout: Layout) -> bool:
    """Return True if no file waits."""
    return not SpawnedFiles(layout).waiting()


def test_files_become_jobs_while_the_parent_is_open(gateway: RunningGateway) -> None:
    """Spawned jobs are made in order, and listed by pages; a file that comes again makes no job twice."""
    parent = gateway.submit()
    files = SpawnedFiles(gateway.layout)
    whole = spawned(parent, [f"text {number}" for number in range(7)], submitter="lan")
    files.write(whole, number=0)
    until(lambda: gateway.ask("GET", f"/jobs/{parent}").json.get("children") == {"accepted": 7}, "no children")
    first = children(gateway, parent, "?limit=5")
    rest = children(gateway, parent, f"?limit=5&cursor={first['next']}")
    found = [job["id"] for job in (*first["jobs"], *rest["jobs"])]
    assert found == [job.id(parent) for job in whole.jobs]
    assert "next" not in rest
    assert {job["parent"] for job in first["jobs"]} == {parent}
    view = gateway.ask("GET", f"/jobs/{found[0]}").json
    assert (view["parent"], view["task"], view["submitter"], view["state"]) == (parent, "echo", "lan", "accepted")
    files.write(whole, number=1)
    until(lambda: taken(gateway.layout), "the second file was not taken")
    assert gateway.ask("GET", "/status").json["jobs"] == {"accepted": 8}


def test_a_removed_child_does_not_come_back(gateway: RunningGateway) -> None:
    """A removed child does not come back when its parent runs again and names it."""
    parent = gateway.submit()
    files, whole = SpawnedFiles(gateway.layout), spawned(parent, ["a", "b"])
    files.write(whole, number=0)
    until(lambda: len(children(gateway, parent)["jobs"]) == 2, "no children")
    gone, left = (job.id(parent) for job in whole.jobs)
    gateway.finish(gone)
    gateway.becomes(gone, "succeeded")
    Results(gateway.layout).remove(gone)
    until(lambda: children(gateway, parent).get("removed") == [gone], "not removed")
    files.write(whole, number=1)
    until(lambda: taken(gateway.layout), "the second file was not taken")
    page = children(gateway, parent)
    assert ([job["id"] for job in page["jobs"]], page["removed"]) == ([left], [gone])
    assert gateway.ask("GET", f"/jobs/{parent}").json["children"] == {"accepted": 1, "removed": 1}


def test_a_child_that_another_job_answered_for_is_not_made_later(gateway: RunningGateway) -> None:
    """A child merged into another job by its unique key is not made when its file is taken again at a start."""
    parent = gateway.submit()
    files = SpawnedFiles(gateway.layout)
    whole = SpawnedJobs(parent, tuple(SpawnedJob("echo", ["a"], call=call, unique_key="one") for call in (1, 2)))
    files.write(whole, number=0)
    until(lambda: taken(gateway.layout), "the file was not taken")
    made, other = (job.id(parent) for job in whole.jobs)
    assert [job["id"] for job in children(gateway, parent)["jobs"]] == [made]
    gateway.finish(made)
    gateway.becomes(made, "succeeded")
    files.write(whole, number=1)
    until(lambda: taken(gateway.layout), "the second file was not taken")
    page = children(gateway, parent)
    assert ([job["id"] for job in page["jobs"]], page["removed"]) == ([made], [other])


def test_children_are_in_before_their_parent_ends(gateway: RunningGateway) -> None:
    """Children are in the ledger before their parent has ended, so no open job then means that all have ended."""
    parent = gateway.submit()
    whole = spawned(parent, ["text"] * 200)
    for number in range(10):
        part = spawned(parent, ["text"] * 20, first=number * 20 + 1)
        SpawnedFiles(gateway.layout).write(part, number=number)
    ids = tuple(job.id(parent) for job in whole.jobs)
    Results(gateway.layout).publish(Result(parent, "echo", JobState.SUCCEEDED, finished_at=1.0, children=ids))
    gateway.becomes(parent, "succeeded")
    assert gateway.ask("GET", "/status").json["jobs"]["accepted"] == 200


def test_a_child_that_the_disk_refuses_to_note_is_not_unknown(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that the disk refuses to note does not get 404, because its parent's result names it."""
    monkeypatch.setattr(settle, "_AGAIN_S", 0.1)
    outbox = gateway.gateway.appliance.outbox
    take, full = outbox.take_spawned, [True]

    async def refused(families: Sequence[tuple[str, Sequence[NewJob]]]) -> list[NewJob]:
        if full:
            raise StorageError("ledger", OSError(5, "Input/output error"))
        return await take(families)

    monkeypatch.setattr(outbox, "take_spawned", refused)
    parent = gateway.submit()
    whole = spawned(parent, ["text"])
    SpawnedFiles(gateway.layout).write(whole, number=0)
    child = whole.jobs[0].id(parent)
    until(lambda: gateway.ask("GET", f"/jobs/{child}").status == 507, "the child is unknown")
    assert gateway.ask("GET", f"/jobs/{child}").json["code"] == "storage"
    full.clear()
    gateway.becomes(child, "accepted")
    unknown = "/jobs/00000000-0000-4000-8000-000000000000"
    until(lambda: gateway.ask("GET", unknown).status == 404, "the fault is over")


@pytest.mark.parametrize("moved", [False, True])
def test_a_start_takes_what_came_while_nobody_looked(config: Config, start_gateway: StartGateway, moved: bool) -> None:
    """At its start the gateway takes waiting files, and files taken before its ledger was lost."""
    files, whole = SpawnedFiles(config.layout), spawned("3f-parent", ["a", "b"])
    files.write(whole, number=0)
    if moved:
        files.take(files.waiting()[0])
    gateway = start_gateway(config)
    until(lambda: gateway.ask("GET", "/status").json.get("jobs") == {"accepted": 2}, "not taken")
    assert (files.waiting(), len(files.taken())) == ([], 1)


def test_an_invalid_file_delays_no_other(gateway: RunningGateway) -> None:
    """An unreadable file stays for a person, and does not block others."""
    parent = gateway.submit()
    files = SpawnedFiles(gateway.layout)
    (gateway.layout.spawned / f"{parent}.000000.00000000.json").write_bytes(b"{")
    files.write(spawned(parent, ["a"]), number=1)
    until(lambda: len(children(gateway, parent)["jobs"]) == 1, "no child")


def test_spawned_jobs_are_accepted_work(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """`max_open_jobs` refuses submits, but not spawned jobs."""
    gateway = start_gateway(make_config(gateway={"loopback_without_token": True, "max_open_jobs": 2}))
    parent = gateway.submit()
    SpawnedFiles(gateway.layout).write(spawned(parent, ["a", "b", "c"]), number=0)
    until(lambda: len(children(gateway, parent)["jobs"]) == 3, "no children")
    assert gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"]}).status == 503


def test_a_backup_carries_them(config: Config) -> None:
    """A backup has waiting files, taken files, and the links in the ledger."""
    files = SpawnedFiles(config.layout)
    files.prepare()
    with LedgerWriter.open(config.layout.ledger) as ledger, ledger.transaction(durable=True):
        ledger.link("p", ["c"])
    files.write(spawned("p", ["a"]), number=0)
    files.take(files.waiting()[0])
    files.write(spawned("p", ["b"], first=2), number=1)
    archive = config.root.parent / "b.tar.gz"
    backup(Loaded(config, {}, None), archive, advance=lambda *_: None)
    there = Layout(config.root.parent / "there", config.root.parent / "run2")
    restore(archive, there, config.root.parent / "there.yaml", advance=lambda *_: None)
    assert SpawnedFiles(there).known("p") == files.known("p")
    with LedgerWriter.open(there.ledger) as ledger:
        assert ledger.reader.parent_of("c") == "p"


@pytest.fixture
def bearer(config: Config) -> dict[str, Any]:
    """The header with the token of a node."""
    return {"Authorization": f"Bearer {Tokens(config.layout.tokens).add('node-2', [Scope.NODE])}"}


def put(gateway: RunningGateway, bearer: dict[str, Any], what: SpawnedJobs | bytes, parent: str) -> Any:
    """Send spawned jobs as a node does."""
    body = what if isinstance(what, bytes) else msgspec.json.encode(what)
    return gateway.ask("PUT", f"/jobs/{parent}/spawned", body, Content_Type="application/json", **bearer)


def test_a_node_hands_in_what_it_spawned(gateway: RunningGateway, bearer: dict[str, Any]) -> None:
    """The jobs are durable when answered; the same again changes nothing; another job in one's place is a conflict."""
    parent = gateway.submit()
    assert put(gateway, bearer, spawned(parent, ["a", "b"]), parent).status == 204
    found = children(gateway, parent)["jobs"]
    submitter = gateway.ask("GET", f"/jobs/{parent}").json["submitter"]
    assert [(job["task"], job["submitter"]) for job in found] == [("echo", submitter)] * 2
    assert put(gateway, bearer, spawned(parent, ["a", "b", "c"]), parent).status == 204
    assert len(children(gateway, parent)["jobs"]) == 3
    answer = put(gateway, bearer, spawned(parent, ["a", "x"]), parent)
    assert (answer.status, answer.json["code"]) == (409, "key-reused")
    reason = "spawn, call 2 without a key: it was used before for another task or other arguments"
    assert reason in answer.json["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"id": "other"}', b'{"id": "p", "jobs": [{"task": "echo"}]}', b'{"id": "p", "jobs": 3}']
)
def test_what_a_node_cannot_hand_in(gateway: RunningGateway, bearer: dict[str, Any], body: bytes) -> None:
    """Bad content gets one sentence and no 500, and so does a request without a node's token."""
    answer = put(gateway, bearer, body, "p")
    assert (answer.status, answer.json["code"]) == (400, "bad-request")
    assert gateway.ask("PUT", "/jobs/p/spawned", b"{}", Content_Type="application/json").status in (401, 403)


@pytest.mark.parametrize(("path", "status"), [("nobody", 404), ("nobody?limit=0", 404), ("{id}?limit=501", 400)])
def test_children_of_nobody(gateway: RunningGateway, path: str, status: int) -> None:
    """An unknown job and a bad limit are refused; a job without children has an empty page."""
    job_id = gateway.submit()
    name, _, query = path.format(id=job_id).partition("?")
    answer = gateway.ask("GET", f"/jobs/{name}/children" + (f"?{query}" if query else ""))
    assert answer.status in (status, 400)
    assert children(gateway, job_id) == {"jobs": []}
