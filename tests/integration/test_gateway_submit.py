"""Submitted jobs are durable once answered, one for each key, and refused with a sentence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from edge.core.backoff import Backoff
from edge.core.errors import StorageError
from edge.ledger.writer import LedgerWriter
from edge.results.store import Results
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

NDJSON: dict[str, Any] = {"Content_Type": "application/x-ndjson"}


def test_a_job_is_answered_with_its_place(gateway: RunningGateway) -> None:
    """A submit gets 202, Location, and the reason why the job does not run yet."""
    answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["hi"], "kwargs": {"times": 2}})
    assert answer.status == 202
    view = answer.json
    assert answer.headers["Location"] == f"/v1/jobs/{view['id']}"
    assert view["state"] == "accepted"
    assert view["waiting"].startswith("broker is not reachable")
    assert gateway.ask("GET", f"/jobs/{view['id']}").json["task"] == "echo"


def test_what_was_answered_survives_the_gateway(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    """The next gateway on the same state knows the job."""
    job_id = gateway.submit()
    gateway.stop()
    assert start_gateway(gateway.config).ask("GET", f"/jobs/{job_id}").json["state"] == "accepted"


def test_the_same_key_and_body_are_the_same_job(gateway: RunningGateway) -> None:
    """The second answer is 200 and names the first job."""
    body = {"task": "echo", "args": ["hi"]}
    first = gateway.ask("POST", "/jobs", body, Idempotency_Key="k 1")
    second = gateway.ask("POST", "/jobs", json.dumps(body, indent=4).encode(), Idempotency_Key="k 1")
    assert (first.status, second.status) == (202, 200)
    assert first.json["id"] == second.json["id"]


def test_the_same_key_with_another_body_is_a_conflict(gateway: RunningGateway) -> None:
    """The answer is 409 and names the job that has the key."""
    job_id = gateway.submit("echo", "one", Idempotency_Key="k")
    answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["two"]}, Idempotency_Key="k")
    assert (answer.status, answer.json["code"], answer.json["job_id"]) == (409, "key-reused", job_id)


def test_a_key_whose_job_was_removed_is_gone(gateway: RunningGateway) -> None:
    """A key of a removed job gets 410, so a client that retries after weeks does not run its job again."""
    job_id = gateway.submit(Idempotency_Key="k")
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    Results(gateway.layout).remove(job_id)
    deadline = time.monotonic() + 10
    while gateway.ask("GET", f"/jobs/{job_id}").status != 410:
        assert time.monotonic() < deadline
    assert gateway.ask("POST", "/jobs", {"task": "echo", "args": ["hello"]}, Idempotency_Key="k").status == 410


def test_concurrent_submits_with_one_key_make_one_job(gateway: RunningGateway) -> None:
    """Of concurrent submits one gets 202, and all name the same job."""

    def send(_: int) -> tuple[int, str]:
        answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["hi"]}, Idempotency_Key="one")
        return answer.status, answer.json["id"]

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(send, range(60)))
    assert len({job_id for _, job_id in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 59 + [202]
    assert len(gateway.ask("GET", "/jobs").json["jobs"]) == 1


def test_parallel_submits_share_commits(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one commit is synced, all later submits wait for the next one together."""
    commits: list[bool] = []
    transaction = LedgerWriter.transaction

    @contextmanager
    def slow(self: LedgerWriter, *, durable: bool) -> Iterator[None]:
        commits.append(durable)
        time.sleep(0.02)  # the time of a card's sync
        with transaction(self, durable=durable):
            yield

    monkeypatch.setattr(LedgerWriter, "transaction", slow)
    with ThreadPoolExecutor(100) as pool:
        ids = list(pool.map(lambda _: gateway.submit(), range(100)))
    assert len(set(ids)) == 100
    assert len(commits) < 50
    assert all(commits)


def test_what_the_disk_refuses_is_not_accepted(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that the disk refuses gets 507 with the disk's message, and is not listed; later submits succeed."""

    def full(self: LedgerWriter, *, durable: bool) -> Any:
        raise StorageError("ledger", OSError(28, "No space left on device"))

    with monkeypatch.context() as broken:
        broken.setattr(LedgerWriter, "transaction", full)
        answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"]})
        assert (answer.status, answer.json["code"]) == (507, "storage")
        assert "No space left" in answer.json["detail"]
        assert gateway.ask("GET", "/healthz").status == 503
    assert gateway.ask("GET", "/jobs").json["jobs"] == []
    gateway.submit()
    assert gateway.ask("GET", "/healthz").status == 200


def test_a_board_that_refused_finds_out_by_itself_that_all_is_well(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a refusal the gateway itself finds out that the disk is well; nobody submits to an unhealthy board."""
    monkeypatch.setattr("edge.gateway.background.storage_fault._RETRY", Backoff(first_s=0.05, most_s=0.05))
    tried = threading.Event()

    def full(self: LedgerWriter, *, durable: bool) -> Any:
        if threading.current_thread().name == "ledger" and gateway.ask("GET", "/healthz").status == 503:
            tried.set()
        raise StorageError("ledger", OSError(28, "No space left on device"))

    with monkeypatch.context() as broken:
        broken.setattr(LedgerWriter, "transaction", full)
        assert gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"]}).status == 507
        assert tried.wait(20)
    deadline = time.monotonic() + 20
    while gateway.ask("GET", "/healthz").status != 200:
        assert time.monotonic() < deadline


def test_too_many_open_jobs_are_asked_to_come_back(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """Over the limit a submit gets 503 with Retry-After, until jobs have ended."""
    gateway = start_gateway(make_config(gateway={"max_open_jobs": 2}))
    first = gateway.submit()
    gateway.submit()
    answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"]})
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    gateway.finish(first)
    gateway.becomes(first, "succeeded")
    gateway.submit()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"null", 400, "expected object"),
        (b"[]", 400, "expected object"),
        (b"{}", 400, "missing required field task"),
        (b'{"task":"\xff\xfe"}', 400, "not JSON"),
        (b'\xef\xbb\xbf{"task":"nothing"}', 400, "not JSON"),
        (b'{"task":"nothing"}{"task":"nothing"}', 400, "not JSON"),
        (b'{"task":"nothing\\u0000"}', 400, "task: expected str matching regex"),
        (b'{"task":"nothing","args":[NaN]}', 400, "not JSON"),
        (b'{"task":"nothing","args":[1e999]}', 400, "args[0]: number out of range"),
        (b'{"task":"nothing","args":["\\ud800"]}', 400, "half of a surrogate pair"),
        (b'{"task":"nothing","args":[' + b"9" * 5000 + b"]}", 400, "args[0]: integer value out of range"),
        (b'{"task":"nothing","args":' + b"[" * 400 + b"]" * 400 + b"}", 400, "nested deeper than 100"),
        (b'{"task":"nothing","args":' + b"[" * 90_000 + b"]" * 90_000 + b"}", 400, "nested deeper than 100"),
        (b'{"task":"nothing","kwargs":[]}', 400, "kwargs: expected object, got array"),
        (b'{"task":"nothing","surprise":1}', 400, "unknown field surprise"),
        (b'{"task":"nothing","power":"huge"}', 400, "power: expected one of always, normal, surplus"),
        (b'{"task":"nothing","retries":-1}', 400, "retries: expected int >= 0"),
        (b'{"task":"nothing","retries":true}', 400, "retries: expected int"),
        (b'{"task":"nothing","time_limit_s":0}', 400, "time_limit_s: expected float > 0"),
        (b'{"task":"nowhere"}', 422, "known are echo, nothing, total"),
        (b'{"task":"nothing","args":[1]}', 422, "task 'nothing'"),
        (b'{"task":"echo"}', 422, "text"),
        (b'{"task":"echo","args":[5]}', 422, "text"),
        (b'{"task":"echo","args":["a"],"kwargs":{"text":"b"}}', 422, "given by place and by name"),
        (b'{"task":"total","kwargs":{"numbers":[1,"x"]}}', 422, "numbers"),
    ],
)
def test_garbage_is_refused_with_a_sentence(gateway: RunningGateway, body: bytes, status: int, detail: str) -> None:
    """Garbage gets a 4xx problem that says what is wrong; nothing is accepted."""
    answer = gateway.ask("POST", "/jobs", body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert detail in answer.json["detail"]
    assert gateway.ask("GET", "/jobs").json["jobs"] == []


def test_odd_but_valid_bodies_are_taken(gateway: RunningGateway) -> None:
    """Huge integers, null bytes, empty values and 2.0 for 2 are valid JSON."""
    for body in (
        b'{"task":"total","args":[[123456789012345678901234567890]]}',
        b'{"task":"echo","args":["\\u0000\\ud83d\\ude00"]}',
        b' {"task":"echo","args":[""],"power":null} ',
        b'{"task":"echo","args":["x",2.0],"retries":3.0}',  # JSON Schema counts 3.0 as a whole number
    ):
        assert gateway.ask("POST", "/jobs", body).status == 202


def test_a_member_given_twice_is_refused(gateway: RunningGateway) -> None:
    """A member given twice is refused, because JSON readers differ in which value counts."""
    answer = gateway.ask("POST", "/jobs", b'{"task":"echo","task":"nothing"}')
    assert answer.status == 400
    assert b"'task' is given twice" in answer.body


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "x"])
def test_a_type_that_a_foreign_page_could_send_is_refused(gateway: RunningGateway, media: str) -> None:
    """A type that a foreign page may send is refused, so that no page in a browser on the board can submit jobs."""
    answer = gateway.ask("POST", "/jobs", b'{"task":"nothing"}', Content_Type=media)
    assert answer.status == 415


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "\x7f", "ü"])
def test_a_key_that_cannot_travel_is_refused(gateway: RunningGateway, key: str) -> None:
    """A key must have 1 to 255 characters of printable ASCII."""
    answer = gateway.ask("POST", "/jobs", {"task": "nothing"}, Idempotency_Key=key)
    assert (answer.status, answer.json["code"]) == (400, "bad-request")


@pytest.mark.parametrize("key", ["", " ", " x", "x ", "x" * 256, "\x7f", "ü", "\N{ROCKET}", "x\n"])
def test_a_key_in_a_batch_follows_the_rule_of_the_header(gateway: RunningGateway, key: str) -> None:
    """A key in a batch follows the rule of the header, so that a client may use either."""
    line = json.dumps({"task": "nothing", "key": key}).encode()
    (answer,) = gateway.ask("POST", "/jobs/batch", line, **NDJSON).lines
    assert (answer["problem"]["status"], answer["problem"]["detail"]) == (
        400,
        f"key {key[:80]!r}: 1 to 255 printable ASCII characters, no space at its ends",
    )


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"task":"echo","args":["a"],"task":"echo"}', "task"),
        ('{"task":"echo","kwargs":{"text":"a","times":1,"times":2}}', "times"),
        ('{"task":"echo","kwargs":{"text":"a","times":1,"\\u0074imes":2}}', "times"),
    ],
)
def test_a_key_given_twice_in_one_object_is_named(gateway: RunningGateway, body: str, name: str) -> None:
    """A key given twice in a job or in a line of a batch is refused, because nobody knows which value was meant."""
    alone = gateway.ask("POST", "/jobs", body.encode())
    (line,) = gateway.ask("POST", "/jobs/batch", body.encode(), **NDJSON).lines
    for status, detail in (
        (alone.status, alone.json["detail"]),
        (line["problem"]["status"], line["problem"]["detail"]),
    ):
        assert status == 400
        assert f"the key {name!r} is given twice" in detail


def test_each_line_of_a_batch_has_its_answer(gateway: RunningGateway) -> None:
    """Each line gets its answer in order: good lines are accepted, bad ones get their problem, and keys work."""
    known = gateway.submit("echo", "one", Idempotency_Key="k")
    lines = [
        b'{"task":"echo","args":["one"],"key":"k"}',
        b'{"task":"echo","args":["two"],"key":"k"}',
        b"{",
        b"",
        b'{"task":"nowhere"}',
        b'{"task":"nothing"}',
        b'{"task":"nothing","key":"twice"}',
        b'{"task":"nothing","key":"twice"}',
    ]
    answer = gateway.ask("POST", "/jobs/batch", b"\n".join(lines) + b"\n", **NDJSON)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    answers = answer.lines
    assert [line["line"] for line in answers] == list(range(1, 9))
    assert answers[0]["id"] == known
    codes = [line.get("problem", {}).get("code") for line in answers]
    assert codes == [None, "key-reused", "bad-request", "bad-request", "unknown-task", None, None, None]
    assert answers[6]["id"] == answers[7]["id"] != answers[5]["id"]
    assert len(gateway.ask("GET", "/jobs").json["jobs"]) == 3


def test_a_batch_is_one_commit(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of five thousand jobs needs one sync of the card."""
    commits: list[bool] = []
    transaction = LedgerWriter.transaction

    @contextmanager
    def counted(self: LedgerWriter, *, durable: bool) -> Iterator[None]:
        commits.append(durable)
        with transaction(self, durable=durable):
            yield

    monkeypatch.setattr(LedgerWriter, "transaction", counted)
    body = b"".join(b'{"task":"echo","args":["%d"]}\n' % number for number in range(5000))
    answer = gateway.ask("POST", "/jobs/batch", body, timeout=60, **NDJSON)
    assert len({line["id"] for line in answer.lines}) == 5000
    assert commits == [True]


@pytest.mark.parametrize("body", [b"", b"\n", b"  \n"])
def test_an_empty_batch_is_refused(gateway: RunningGateway, body: bytes) -> None:
    """An empty batch is refused, so that a client that lost its lines notices it."""
    assert gateway.ask("POST", "/jobs/batch", body, **NDJSON).status == 400


def test_a_batch_over_its_limits_is_refused_whole(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A batch with too many lines or bytes gets 413, and none of its jobs is accepted."""
    gateway = start_gateway(make_config(gateway={"max_batch_jobs": 3, "max_batch_bytes": 2048}))
    line = b'{"task":"nothing"}\n'
    assert gateway.ask("POST", "/jobs/batch", line * 4, **NDJSON).status == 413
    assert gateway.ask("POST", "/jobs/batch", line + b" " * 3000, **NDJSON).status == 413
    assert gateway.ask("GET", "/jobs").json["jobs"] == []
    assert gateway.ask("POST", "/jobs/batch", line * 3, **NDJSON).status == 200
